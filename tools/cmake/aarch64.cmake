# Cross-compiles for 64-bit ARM with Debian's gcc-aarch64-linux-gnu; ctest runs the programs by qemu-user.
# ATTN_ROOT: a folder with the files of the arm64 packages libcjson-dev, libpcre2-dev, libutf8proc-dev and
# libcmocka-dev, with their libraries, and libstb-dev; tools/test.sh makes one (unpack_packages in tools/packages.sh).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)

set(ATTN_ROOT "" CACHE PATH "the arm64 packages, unpacked")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ATTN_ROOT)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${ATTN_ROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${ATTN_ROOT}/usr/lib/aarch64-linux-gnu/pkgconfig)
set(CMAKE_C_STANDARD_INCLUDE_DIRECTORIES ${ATTN_ROOT}/usr/include)
set(CMAKE_FIND_ROOT_PATH ${ATTN_ROOT} /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu
    -E LD_LIBRARY_PATH=${ATTN_ROOT}/usr/lib/aarch64-linux-gnu)
