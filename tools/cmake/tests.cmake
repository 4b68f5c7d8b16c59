# Each test bears its folder under tests/ as label (ctest -L kernels) and runs in the repository's
# root.
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)

function(attn_test name label)
  add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS ${label})
endfunction()

# One executable per tests/<area>/test_<name>.c.
file(GLOB TEST_SOURCES CONFIGURE_DEPENDS tests/*/test_*.c)
foreach(source ${TEST_SOURCES})
  get_filename_component(name ${source} NAME_WE)
  get_filename_component(area ${source} DIRECTORY)
  get_filename_component(area ${area} NAME)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE attn_tools attn_static PkgConfig::CJSON PkgConfig::CMOCKA m)
  attn_test(${name} ${area} ${name})
endforeach()

# What tests/models/test_language.py runs.
add_executable(decode tests/models/decode.c)
target_link_libraries(decode PRIVATE attn_static)

# What tests/models/test_onnx.py runs.
add_executable(show_onnx tests/models/show_onnx.c)
target_link_libraries(show_onnx PRIVATE attn_static)

# ninja update_bits: after a change of the arithmetic that is meant to change bits, once test_golden and
# test_models, which compare with PyTorch, have passed.
add_custom_target(update_bits
  COMMAND sh -c "$<TARGET_FILE:test_bits> --print | grep -E '^(layers|attention|relative|indexing|windows|elementwise) ' >tests/golden/layers_bits.txt"
  COMMAND sh -c "$<TARGET_FILE:test_model_bits> --print >tests/golden/models/bits.txt"
  DEPENDS test_bits test_model_bits
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
  VERBATIM)

# Fuzz targets replay their corpus, tests/fuzz/corpus/<name>, and the golden files of that name; with
# ATTN_FUZZ they look for more (tools/fuzz.sh).
file(GLOB FUZZ_SOURCES CONFIGURE_DEPENDS tests/fuzz/fuzz_*.c)
foreach(source ${FUZZ_SOURCES})
  get_filename_component(target ${source} NAME_WE)
  string(REPLACE fuzz_ "" name ${target})
  file(GLOB corpus LIST_DIRECTORIES true tests/fuzz/corpus/${name} tests/golden/${name}
       tests/golden/${name}s/files)
  if(ATTN_FUZZ)
    add_executable(${target} ${source})
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(${target} ${source} tests/fuzz/replay.c)
    attn_test(${target} fuzz ${target} ${corpus})
  endif()
  target_link_libraries(${target} PRIVATE attn_tools attn_static PkgConfig::CJSON m)
endforeach()

# Shell tests get the build folder. What they compile is not instrumented, so the sanitizers' builds
# leave them out.
if(NOT ATTN_SANITIZE)
  file(GLOB TEST_SCRIPTS CONFIGURE_DEPENDS tests/*/test_*.sh)
  foreach(script ${TEST_SCRIPTS})
    get_filename_component(name ${script} NAME_WE)
    attn_test(${name} cli ${script} ${PROJECT_BINARY_DIR})
    set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77
                         ENVIRONMENT "CC=${CMAKE_C_COMPILER}")
  endforeach()
endif()

# The driver of the tests in tests/text/*.py.
add_executable(encode_lines tests/text/encode_lines.c)
target_link_libraries(encode_lines PRIVATE attn_text_static attn_static)

# The command line, as scripts use it.
find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
  foreach(name test_cli test_generate test_reading test_text_views)
    attn_test(${name} cli ${Python3_EXECUTABLE} tests/cli/${name}.py)
    set_tests_properties(${name} PROPERTIES ENVIRONMENT "ATTN=$<TARGET_FILE:attn>")
  endforeach()
endif()
