"""Metrics over a whole test set in PyTorch, each sample once, as docs/metrics.md defines them."""
import torch


class Metrics:
    """Collects outputs and targets. `data` says whether the targets are classes, and brings numbers back into their units."""

    def __init__(self, data, ignore=None):
        self.data, self.ignore = data, ignore
        self.outputs, self.targets = [], []

    def add(self, output, target):
        self.outputs.append(output.detach().cpu()), self.targets.append(target.detach().cpu())

    def result(self):
        output, target = torch.cat(self.outputs), torch.cat(self.targets)
        return self._of_classes(output, target) if self.data.classes else self._of_numbers(output, target)

    def _of_classes(self, output, target):
        count = output.shape[1]
        found = output.argmax(1).flatten()
        wanted = target.flatten()
        valid = wanted != self.ignore if self.ignore is not None else torch.ones_like(wanted, dtype=torch.bool)
        table = torch.bincount(wanted[valid] * count + found[valid], minlength=count * count).reshape(count, count).double()
        hits, actual, predicted = table.diag(), table.sum(1), table.sum(0)
        union = actual + predicted - hits
        present = union > 0
        result = {"accuracy": (hits.sum() / table.sum()).item(), "mean_iou": (hits / union)[present].mean().item(),
                  "mean_dice": (2 * hits / (actual + predicted))[present].mean().item()}
        if count == 2 and target.dim() == 1:
            result["auroc"] = auroc(output[:, 1] - output[:, 0], target)
        return result

    def _of_numbers(self, output, target):
        output, target = self.data.physical(output).double(), self.data.physical(target).double()
        error = output - target
        dims = [d for d in range(target.dim()) if d != 1]
        spread = target - target.mean(dims, keepdim=True)
        norms = target.flatten(1).norm(dim=1)
        return {"rmse": error.square().mean().sqrt().item(), "mae": error.abs().mean().item(),
                "r2": (1 - error.square().sum(dims) / spread.square().sum(dims)).mean().item(),
                "relative_l2": (error.flatten(1).norm(dim=1) / norms).mean().item(),
                "rmse_channels": error.square().mean(dims).sqrt().tolist()}


def auroc(score, label):
    """Area under the ROC curve: the probability that a positive sample has the larger score; ties count half."""
    positive, negative = score[label == 1].double(), score[label == 0].double()
    if len(positive) == 0 or len(negative) == 0:
        return float("nan")
    differences = positive[:, None] - negative[None]
    return ((differences > 0).double() + 0.5 * (differences == 0).double()).mean().item()
