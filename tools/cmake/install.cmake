# cmake --install: the command, libattn and libattn_text (static and shared), their headers, attn.pc,
# attn_text.pc and the CMake package. All paths
# in the installed files are relative to those files, so the folder may be moved.
include(CMakePackageConfigHelpers)

set_target_properties(attn_shared PROPERTIES EXPORT_NAME attn)
set_target_properties(attn_text_shared PROPERTIES EXPORT_NAME attn_text)
install(TARGETS attn)
install(FILES runtime/attn.h runtime/attn_text.h TYPE INCLUDE)
# Three export files: who links the shared libraries needs no cJSON, who links libattn.a no PCRE2.
install(TARGETS attn_shared attn_text_shared EXPORT attn_shared)
install(TARGETS attn_static EXPORT attn_static)
install(TARGETS attn_text_static EXPORT attn_text_static)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/attn)
foreach(library attn_shared attn_static attn_text_static)
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
configure_file(tools/cmake/attn_text.pc.in attn_text.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/attn.pc ${PROJECT_BINARY_DIR}/attn_text.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
