# The MLP example must learn: its last printed loss is below 0.01.
execute_process(COMMAND ${MLP} OUTPUT_VARIABLE out RESULT_VARIABLE code)
message("${out}")
if(NOT code EQUAL 0 OR NOT out MATCHES "step   1  loss [01]\\.[0-9]+"
    OR NOT out MATCHES "step 200  loss 0\\.00")
  message(FATAL_ERROR "the example did not learn")
endif()
