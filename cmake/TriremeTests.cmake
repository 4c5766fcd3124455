# trireme_test(NAME SOURCES ... [RANKS 1 2 3 4] [KOKKOS] [LINK targets] [TIMEOUT seconds]): a Boost.Test program, registered
# with CTest once for each number of ranks. The default is one rank, run without mpiexec.
find_package(Boost 1.70 REQUIRED COMPONENTS unit_test_framework)
include(TriremeFastTests)
set(TRIREME_MPIEXEC_FLAGS "" CACHE STRING "Flags for mpiexec in tests, as --oversubscribe where the launcher needs it")

# Ranks that wait spin. Where there are more of them than cores a test would mostly wait for the scheduler: this preload yields.
add_library(trireme_yield SHARED ${CMAKE_CURRENT_LIST_DIR}/../tests/support/yield_preload.c)
target_link_libraries(trireme_yield PRIVATE ${CMAKE_DL_LIBS})

# Makes chosen system calls fail: for tests of faults.
add_library(trireme_faults SHARED ${CMAKE_CURRENT_LIST_DIR}/../tests/support/faults_preload.c)
target_link_libraries(trireme_faults PRIVATE ${CMAKE_DL_LIBS})

function(trireme_test name)
  cmake_parse_arguments(ARG "KOKKOS" "TIMEOUT" "SOURCES;RANKS;LINK" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(test_${name} ${ARG_SOURCES})
  target_link_libraries(test_${name} PRIVATE ${ARG_LINK} trireme_test_support)
  if(ARG_KOKKOS)
    trireme_as_kokkos_language(${ARG_SOURCES})
  endif()
  if(NOT ARG_RANKS)
    add_test(NAME ${name} COMMAND test_${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} PROCESSORS 2 ENVIRONMENT "OMP_NUM_THREADS=2;OMP_PROC_BIND=false")
    trireme_label(${name})
  endif()
  foreach(n IN LISTS ARG_RANKS)
    set(preload "")
    if(n GREATER 2 AND NOT TRIREME_SANITIZE)
      set(preload "LD_PRELOAD=$<TARGET_FILE:trireme_yield>")
    endif()
    add_test(NAME ${name}.${n} COMMAND ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} ${n} ${TRIREME_MPIEXEC_FLAGS} $<TARGET_FILE:test_${name}>)
    set_tests_properties(${name}.${n} PROPERTIES TIMEOUT ${ARG_TIMEOUT} PROCESSORS ${n}
      ENVIRONMENT "OMP_NUM_THREADS=1;OMP_PROC_BIND=false;${preload}")
    trireme_label(${name}.${n} ${name})
  endforeach()
endfunction()
