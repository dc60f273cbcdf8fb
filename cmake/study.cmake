# The program `study`: kernels compiled a second time, unoptimized and with a call before each access
# (study/access_hooks.h), so that a trace follows the source line by line.
sources(STUDY study/*.cpp)
list(FILTER STUDY EXCLUDE REGEX "/main\\.cpp$")

set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS study/page.html study/page.css study/page.js
  study/drawings.js)
file(READ study/page.html page)
foreach(file page.css drawings.js page.js)
  file(READ study/${file} text)
  string(REPLACE "/*{{${file}}}*/" "${text}" page "${page}")
endforeach()
string(LENGTH "${page}" length)
set(page_literal "")
foreach(begin RANGE 0 ${length} 12000)  # compilers limit the length of a literal
  string(SUBSTRING "${page}" ${begin} 12000 piece)
  string(APPEND page_literal "R\"html(${piece})html\"\n")
endforeach()
file(CONFIGURE OUTPUT generated/study_page.inc CONTENT "@page_literal@" @ONLY)

# traced_kernels(<target> <source>...): objects of kernels for a study program.
function(traced_kernels target)
  add_library(${target} OBJECT ${ARGN})
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR})
  target_compile_options(${target} PRIVATE -O0 -g -fno-omit-frame-pointer -fsanitize=thread)
  target_link_libraries(${target} PRIVATE simulator warnings)
endfunction()

list(FILTER STUDY EXCLUDE REGEX "/(exercises|ladders)\\.cpp$")
add_library(study_trace STATIC ${STUDY})
target_include_directories(study_trace PUBLIC ${CMAKE_SOURCE_DIR} PRIVATE ${CMAKE_BINARY_DIR}/generated)
target_compile_definitions(study_trace PRIVATE WARPBERT_BUILD="${CMAKE_BINARY_DIR}")
target_link_libraries(study_trace PUBLIC kernel_cases PRIVATE ZLIB::ZLIB warnings)
target_compile_options(study_trace PRIVATE $<$<CONFIG:Release>:-O1> -g)  # types of the simulator, for scripts/lanes.py

# The compiler, flags and libraries of `study try`.
add_library(exercise_runner STATIC study/exercises/runner.cpp)
target_compile_definitions(exercise_runner PRIVATE WARPBERT_SOURCE="${CMAKE_SOURCE_DIR}")
target_link_libraries(exercise_runner PRIVATE study_trace warnings)
file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/generated/exercise_build.inc CONTENT
"constexpr const char* compiler = R\"(${CMAKE_CXX_COMPILER})\";
constexpr const char* flags = R\"(-std=c++20;-O0;-g;-fno-omit-frame-pointer;-fsanitize=thread;-Wall;-Wextra;-Wno-unused-parameter;-Wno-unused-but-set-variable;-Wno-unknown-pragmas;\
-I${CMAKE_SOURCE_DIR};$<TARGET_PROPERTY:simulator_options,INTERFACE_COMPILE_OPTIONS>)\";
constexpr const char* libraries = R\"($<TARGET_FILE:exercise_runner>;$<TARGET_FILE:study_trace>;\
$<TARGET_FILE:io>;$<TARGET_FILE:simulator>;$<TARGET_FILE:fmt::fmt>;$<TARGET_FILE:ZLIB::ZLIB>;$<TARGET_FILE:Boost::context>;-pthread)\";
")

# Ladders: rungs below shipped kernels.
sources(LADDERS study/ladders/*.cu)
set_source_files_properties(${LADDERS} PROPERTIES LANGUAGE CXX)
traced_kernels(ladder_kernels ${LADDERS})

# study_program(<target> <kernels>): the program with these traced kernels.
function(study_program target kernels)
  add_executable(${target} study/main.cpp study/exercises.cpp study/ladders.cpp)
  add_dependencies(${target} exercise_runner)
  target_compile_definitions(${target} PRIVATE WARPBERT_SOURCE="${CMAKE_SOURCE_DIR}")
  target_include_directories(${target} PRIVATE ${CMAKE_BINARY_DIR}/generated)
  target_link_libraries(${target} PRIVATE ${kernels} ladder_kernels study_trace warnings)
endfunction()
traced_kernels(traced_kernels ${KERNELS})
study_program(study traced_kernels)
