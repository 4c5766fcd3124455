# trireme_program_test(NAME script.py [TIMEOUT seconds]): a Python test of the whole program (tests/support/program.py tells what the
# environment says). Exit code 77 means skipped, with the reason on a line of its own.
find_package(Python3 COMPONENTS Interpreter REQUIRED)
include(TriremeFastTests)

function(trireme_program_test name file)
  cmake_parse_arguments(ARG "" "TIMEOUT" "" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 600)
  endif()
  set(preload "")
  if(NOT TRIREME_SANITIZE)
    set(preload $<TARGET_FILE:trireme_yield>)
  endif()
  add_test(NAME ${name} COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} PROCESSORS 2 SKIP_RETURN_CODE 77
    ENVIRONMENT "TRIREME_PROGRAM=$<TARGET_FILE:trireme_program>;TRIREME_MPIEXEC=${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} ${TRIREME_MPIEXEC_FLAGS};TRIREME_YIELD=${preload};TRIREME_FAULTS_LIBRARY=$<TARGET_FILE:trireme_faults>;PYTHONPATH=${PROJECT_SOURCE_DIR}/tests/support")
  trireme_label(${name})
endfunction()
