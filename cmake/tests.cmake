# add_tests(<label> <pattern> <libraries>...): one program per file, one ctest per doctest case. In the
# simulator, kernel tests run in three thread orders (--simt-order).
find_package(doctest REQUIRED)
include(${doctest_DIR}/doctest.cmake)

add_library(test_support STATIC tests/support/main.cpp)
target_link_libraries(test_support PUBLIC doctest::doctest kernels)
target_include_directories(test_support PUBLIC ${CMAKE_SOURCE_DIR})

set(THREAD_ORDERS forward reverse random)
if(WARPBERT_SANITIZE STREQUAL "thread")
  set(THREAD_ORDERS forward)  # ThreadSanitizer sees a race in any order
endif()

# Sanitizer and unoptimized builds are several times slower.
set(TEST_TIMEOUT 120)
if(WARPBERT_SANITIZE OR CMAKE_CROSSCOMPILING OR CMAKE_BUILD_TYPE STREQUAL "Debug")
  set(TEST_TIMEOUT 1200)
endif()

# discover_cases(<program> <prefix> <label> <timeout> [<option of doctest_discover_tests>...]): one ctest per
# doctest case. CMake splits case names at semicolons; doctest then runs none and exits 0: the regex fails it.
function(discover_cases program prefix label timeout)
  doctest_discover_tests(${program} TEST_PREFIX "${prefix}/" ${ARGN} PROPERTIES LABELS "${label}" TIMEOUT ${timeout}
    FAIL_REGULAR_EXPRESSION "test cases: +0 ")
endfunction()

function(add_tests label pattern)
  sources(files ${pattern})
  foreach(file ${files})
    file(RELATIVE_PATH name ${CMAKE_SOURCE_DIR} ${file})
    string(REGEX REPLACE "^tests/|tests/|\\.[a-z]+$" "" name ${name})  # kernels/gelu_test, simt/simt_test
    string(REPLACE "/" "_" program ${name})
    if(file MATCHES "\\.cu$" AND NOT WARPBERT_CUDA)
      set_source_files_properties(${file} PROPERTIES LANGUAGE CXX)
    endif()
    add_executable(${program} ${file})
    set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    target_link_libraries(${program} PRIVATE test_support warnings ${ARGN})
    target_compile_definitions(${program} PRIVATE WARPBERT_GOLDEN="${CMAKE_SOURCE_DIR}/tests/golden")
    if(label STREQUAL "kernels" AND NOT WARPBERT_CUDA)
      foreach(order ${THREAD_ORDERS})
        discover_cases(${program} ${name} ${label} ${TEST_TIMEOUT} TEST_SUFFIX "/${order}"
          TEST_LIST ${program}_${order} EXTRA_ARGS --simt-order=${order})
      endforeach()
    else()
      discover_cases(${program} ${name} ${label} ${TEST_TIMEOUT})
    endif()
  endforeach()
endfunction()

add_tests(kernels simt/tests/simt_test.cu)
add_tests(kernels tests/kernels/*_test.cpp)
add_tests(kernels tests/kernels/*_test.cu)
if(TARGET train)
  add_tests(io tests/io/*_test.cpp io)
  add_tests(engine tests/engine/*_test.cpp engine)
  foreach(room config data weights step score report run)
    add_tests(train tests/train/${room}/*_test.cpp train)
  endforeach()
endif()

# Counts loads and stores, in optimized kernels and in those of the traces.
if(TARGET study)
  add_library(counted_kernels OBJECT ${KERNELS})
  target_include_directories(counted_kernels PUBLIC ${CMAKE_SOURCE_DIR})
  target_compile_options(counted_kernels PRIVATE -fsanitize=thread)
  target_link_libraries(counted_kernels PRIVATE simulator warnings)
  foreach(kernels counted traced)
    set(program bench_bytes_test)
    if(kernels STREQUAL "traced")
      set(program study_bytes_test)
    endif()
    add_executable(${program} tests/bench/bytes_test.cpp tests/bench/counted_access.cpp study/access_hooks.cpp)
    set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    target_link_libraries(${program} PRIVATE ${kernels}_kernels test_support kernel_cases warnings)
  endforeach()
  discover_cases(bench_bytes_test bench/bytes bench 120)
  discover_cases(study_bytes_test study/bytes study 120)
endif()

if(TARGET example_mlp)
  add_test(NAME engine/example_mlp COMMAND ${CMAKE_COMMAND} -DMLP=$<TARGET_FILE:example_mlp> -P ${CMAKE_SOURCE_DIR}/tests/engine/mlp_test.cmake)
endif()
find_package(Python3 COMPONENTS Interpreter)
set(PYTHON ${Python3_EXECUTABLE})
if(Python3_FOUND)
  add_test(NAME house/folders_include_downwards COMMAND Python3::Interpreter ${CMAKE_SOURCE_DIR}/scripts/check_folders ${CMAKE_SOURCE_DIR})
endif()

# add_python_tests(<folder> <script> <class> <argument>...): one ctest per test method of the class. Tests
# that lack a library are skipped.
function(add_python_tests folder script class)
  set(script ${CMAKE_SOURCE_DIR}/tests/${folder}/${script})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${script})
  file(STRINGS ${script} methods REGEX "^    def test_")
  foreach(method ${methods})
    string(REGEX REPLACE "^    def (test_[a-zA-Z0-9_]+).*" "\\1" method ${method})
    add_test(NAME ${folder}/${method} COMMAND ${PYTHON} ${script} ${ARGN} ${class}.${method} --verbose)
    set_tests_properties(${folder}/${method} PROPERTIES LABELS ${folder} TIMEOUT 1200
      SKIP_REGULAR_EXPRESSION "OK \\(skipped=")
  endforeach()
endfunction()

if(Python3_FOUND)
  if(TARGET warpbert)  # the programs as a user meets them
    add_python_tests(programs programs_test.py Programs ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
    add_python_tests(programs run_test.py Runs ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
    add_python_tests(programs text_test.py Text ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
    add_python_tests(programs driver_test.py Driver ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
    add_python_tests(programs completion_test.py Completion ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
    add_python_tests(programs report_browser_test.py ReportBrowser ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
    add_python_tests(docs commands_test.py Commands ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
    add_python_tests(programs kfold_test.py KFold ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
    add_python_tests(programs recipe_study_test.py RecipeStudy ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
    add_python_tests(programs alignment_study_test.py AlignmentStudy ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
    # Needs -DWARPBERT_TENSORBOARD_PYTHON=<interpreter with tensorboard>, else skipped.
    if(WARPBERT_TENSORBOARD_PYTHON)
      set(PYTHON ${WARPBERT_TENSORBOARD_PYTHON})
    endif()
    add_python_tests(programs tensorboard_test.py Readers ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
    set(PYTHON ${Python3_EXECUTABLE})
  endif()
  add_python_tests(scripts build_test.py Build ${CMAKE_SOURCE_DIR}/scripts)
  add_python_tests(scripts links_test.py Links ${CMAKE_SOURCE_DIR}/scripts)
  add_python_tests(scripts contributing_test.py Contributing ${CMAKE_SOURCE_DIR}/scripts)
  add_python_tests(scripts make_demo_data_test.py DemoData ${CMAKE_SOURCE_DIR}/scripts)
  add_python_tests(scripts tables_test.py Tables ${CMAKE_SOURCE_DIR}/scripts)
  add_python_tests(scripts gpu_check_test.py GpuCheck ${CMAKE_SOURCE_DIR}/scripts)
  add_python_tests(scripts check_folders_test.py Folders ${CMAKE_SOURCE_DIR}/scripts)
  add_python_tests(scripts profile_test.py Profile ${CMAKE_SOURCE_DIR}/scripts)
endif()

# Compares with the libraries `tokenizers`, torch and transformers; skipped without them. The PyTorch
# interpreter has them.
if(Python3_FOUND AND TARGET io)
  if(WARPBERT_TORCH_PYTHON)
    set(PYTHON ${WARPBERT_TORCH_PYTHON})
  endif()
  add_executable(wordpiece_tool tests/io/wordpiece_tool.cpp)
  set_target_properties(wordpiece_tool PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(wordpiece_tool PRIVATE io warnings)
  add_python_tests(io wordpiece_test.py BesideTokenizers $<TARGET_FILE:wordpiece_tool>)
  add_python_tests(programs count_tokens_test.py CountTokens ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
  add_python_tests(torch export_test.py Export ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
  set(PYTHON ${Python3_EXECUTABLE})
endif()

# Comparisons with PyTorch: need -DWARPBERT_TORCH_PYTHON=<interpreter with torch and transformers>.
if(WARPBERT_TORCH_PYTHON AND TARGET warpbert)
  add_test(NAME torch/torch_test COMMAND ${WARPBERT_TORCH_PYTHON} ${CMAKE_SOURCE_DIR}/tests/torch/torch_test.py ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
  add_test(NAME torch/peers_test COMMAND ${WARPBERT_TORCH_PYTHON} ${CMAKE_SOURCE_DIR}/tests/torch/peers_test.py ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
  set_tests_properties(torch/torch_test torch/peers_test PROPERTIES LABELS torch TIMEOUT 1200)
  # Needs $WARPBERT_MINILM, the folder of the published model (docs/minilm.md), else skipped.
  add_test(NAME torch/minilm_test COMMAND ${WARPBERT_TORCH_PYTHON} ${CMAKE_SOURCE_DIR}/tests/torch/minilm_test.py ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
  set_tests_properties(torch/minilm_test PROPERTIES LABELS torch TIMEOUT 1200 SKIP_REGULAR_EXPRESSION "OK \\(skipped=")
endif()

# Tests that need NumPy: converters and .npz exchange. Debian's python3-numpy serves only /usr/bin/python3,
# which need not be the first on PATH.
foreach(candidate ${Python3_EXECUTABLE} /usr/bin/python3)
  execute_process(COMMAND ${candidate} -c "import numpy" RESULT_VARIABLE no_numpy OUTPUT_QUIET ERROR_QUIET)
  if(TARGET io AND no_numpy EQUAL 0)
    set(PYTHON ${candidate})
    add_python_tests(convert checksum_test.py Checksum)
    add_python_tests(convert convert_test.py Convert)
    add_executable(npz_tool tests/io/npz_tool.cpp)
    set_target_properties(npz_tool PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    target_link_libraries(npz_tool PRIVATE io warnings)
    add_test(NAME io/npz_numpy COMMAND ${PYTHON} ${CMAKE_SOURCE_DIR}/tests/io/npz_numpy.py $<TARGET_FILE:npz_tool>)
    set_tests_properties(io/npz_numpy PROPERTIES LABELS "io;numpy" TIMEOUT ${TEST_TIMEOUT})
    break()
  endif()
endforeach()
