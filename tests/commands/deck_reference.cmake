# docs/deck.md must be what the program prints: it is made from the program's own tables.
execute_process(COMMAND ${PROGRAM} help deck OUTPUT_VARIABLE printed RESULT_VARIABLE status)
file(READ ${FILE} kept)
if(NOT status EQUAL 0 OR NOT printed STREQUAL kept)
  message(FATAL_ERROR "docs/deck.md differs from 'trireme help deck'. Hint: trireme help deck > docs/deck.md")
endif()
