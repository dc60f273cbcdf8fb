# Writes the shell completions and the manual page from what the program prints, for cmake --install:
#   cmake -DPROGRAM=<warpbert> -DFOLDER=<where> -P generated_files.cmake
# A program of another architecture cannot run here: nothing is written, and a message says so.
execute_process(COMMAND "${PROGRAM}" --help RESULT_VARIABLE failed OUTPUT_VARIABLE help ERROR_QUIET)
file(REMOVE_RECURSE "${FOLDER}")
if(NOT failed EQUAL 0)
  message(STATUS "${PROGRAM} does not run here: no shell completions, no manual page")
  return()
endif()
file(MAKE_DIRECTORY "${FOLDER}")
execute_process(COMMAND "${PROGRAM}" completion bash OUTPUT_FILE "${FOLDER}/warpbert" COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${PROGRAM}" completion zsh OUTPUT_FILE "${FOLDER}/_warpbert" COMMAND_ERROR_IS_FATAL ANY)

# Sets `result` to text as roff prints it verbatim.
function(verbatim text result)
  string(REPLACE "\\" "\\e" text "${text}")
  string(REPLACE "-" "\\-" text "${text}")
  string(REGEX REPLACE "(^|\n)([.'])" "\\1\\\\&\\2" text "${text}")
  set(${result} ".nf\n${text}.fi\n" PARENT_SCOPE)
endfunction()

verbatim("${help}" overview)
set(page ".TH WARPBERT 1\n.SH NAME\nwarpbert \\- trains BERT on pairs of short texts\n.SH SYNOPSIS\n${overview}")
string(REGEX MATCHALL "\n  [a-z][a-z-]*" commands "${help}")
foreach(command ${commands})
  string(STRIP "${command}" command)
  execute_process(COMMAND "${PROGRAM}" ${command} --help OUTPUT_VARIABLE help COMMAND_ERROR_IS_FATAL ANY)
  verbatim("${help}" help)
  string(TOUPPER ${command} title)
  string(APPEND page ".SH ${title}\n${help}")
endforeach()
file(WRITE "${FOLDER}/warpbert.1" "${page}")
