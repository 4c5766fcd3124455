# Spack package of Trireme:  spack repo add packaging/spack && spack install trireme
from spack.package import *


class Trireme(CMakePackage, CudaPackage):
    """Trains neural networks on supercomputers: MPI between nodes, Kokkos inside them, sharded parallel HDF5 data, restarts on any number of ranks."""

    license("Apache-2.0", checked_by="the Trireme authors")

    version("main", branch="main")

    generator("ninja")

    variant("openmp", default=True, description="Kokkos with OpenMP on the host")
    variant("tests", default=False, description="Build the tests")

    depends_on("cxx", type="build")
    depends_on("c", type="build")
    depends_on("cmake@3.22:", type="build")
    depends_on("ninja", type="build")
    depends_on("python@3.9:", type=("build", "run"))
    depends_on("mpi@3.1:")
    depends_on("hdf5@1.10:+mpi")
    depends_on("kokkos@4.5:")
    depends_on("kokkos+openmp", when="+openmp")
    for _arch in CudaPackage.cuda_arch_values:
        depends_on(f"kokkos+cuda cuda_arch={_arch}", when=f"+cuda cuda_arch={_arch}")
    depends_on("boost@1.70:+program_options")
    depends_on("boost+test", when="+tests")
    depends_on("fmt")
    depends_on("spdlog")
    depends_on("nlohmann-json")
    depends_on("xxhash")
    depends_on("libarchive")
    depends_on("zlib-api")
    depends_on("blas")

    conflicts("~openmp~cuda", msg="Kokkos needs a backend: +openmp or +cuda")

    def cmake_args(self):
        return [self.define_from_variant("TRIREME_TESTS", "tests")]
