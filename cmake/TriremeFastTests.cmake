# Tests with the label fast: `ctest -L fast` takes less than two minutes on two cores. A test belongs here if each of its runs computes for less than about two
# seconds (build/release/Testing/Temporary/CTestCostData.txt; scripts/test prints the slowest ones), and if it needs neither a trained network nor a cluster.
set(TRIREME_FAST_TESTS base comm config command_deck_reference data_allocation data_parallel event_log gradient_reducer metrics pipeline_schedule resume_check
  run_files run_watchdog setup_without_root slurm_scripts step_plan task_scheduler time_limit train_balancer train_ensemble virtual_ranks)

# trireme_label(TEST [NAME]): NAME is that of the list, where it differs from the name of the test in CTest.
function(trireme_label test)
  set(name ${test} ${ARGN})
  list(GET name -1 name)
  if(name IN_LIST TRIREME_FAST_TESTS)
    set_property(TEST ${test} APPEND PROPERTY LABELS fast)
  endif()
endfunction()
