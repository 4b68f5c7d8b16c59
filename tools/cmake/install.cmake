# cmake --install: the command, both libraries, the header, attn.pc and the CMake package. All paths
# in the installed files are relative to those files, so the folder may be moved.
include(CMakePackageConfigHelpers)

set_target_properties(attn_shared PROPERTIES EXPORT_NAME attn)
install(TARGETS attn)
install(FILES runtime/attn.h TYPE INCLUDE)
# Two export files: who links the shared library needs no cJSON.
install(TARGETS attn_shared EXPORT attn_shared)
install(TARGETS attn_static EXPORT attn_static)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/attn)
foreach(library attn_shared attn_static)
  install(EXPORT ${library} FILE ${library}.cmake NAMESPACE attn:: DESTINATION ${package_dir})
endforeach()
configure_package_config_file(tools/cmake/attnConfig.cmake.in attnConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(attnConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/attnConfig.cmake ${PROJECT_BINARY_DIR}/attnConfigVersion.cmake
        DESTINATION ${package_dir})

set(ATTN_PC_REQUIRES libcjson)
if(ATTN_LIBJPEG)
  string(APPEND ATTN_PC_REQUIRES " libjpeg")
endif()
file(RELATIVE_PATH ATTN_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(tools/cmake/attn.pc.in attn.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/attn.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
