# Compiler flags of Weir's own targets. They hang on an interface target that is linked as
# $<BUILD_INTERFACE:weir_options>, so that nothing of it leaks into the installed package.
add_library(weir_options INTERFACE)
target_compile_features(weir_options INTERFACE cxx_std_20)
target_compile_options(weir_options INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Wcast-qual
    -Wnon-virtual-dtor -Woverloaded-virtual -Wformat=2 -Wimplicit-fallthrough -Wextra-semi -Wundef
    $<$<CXX_COMPILER_ID:GNU>:-Wduplicated-cond -Wlogical-op -Wuseless-cast>
    # Falsely reported by g++ 12 for "literal" + std::to_string(n) (GCC bug 105651).
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
    $<$<BOOL:${WEIR_WERROR}>:-Werror>)

if(WEIR_SANITIZE)
    add_compile_options(-fsanitize=${WEIR_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${WEIR_SANITIZE})
    if(WEIR_SANITIZE MATCHES "thread")
        # Asio's headers use fences, which ThreadSanitizer does not model; our own code has none.
        target_compile_options(weir_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
    endif()
endif()

if(WEIR_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# The same launcher whoever configures, or a change of it would build everything again.
find_program(WEIR_CCACHE ccache)
if(WEIR_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${WEIR_CCACHE})
endif()

# What every target that includes Asio must agree on. Coroutine frames come from operator new, as any other
# object does: aligned_alloc costs glibc four times as much, and nothing needs more alignment than new gives.
set(WEIR_ASIO_DEFINITIONS BOOST_ASIO_DISABLE_STD_ALIGNED_ALLOC BOOST_ASIO_DISABLE_BOOST_ALIGN)

set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# weir_library(shm SOURCES a.cpp … HEADERS a.hpp … [LIBS …] [PRIVATE_LIBS …])
# A folder's library, known as weir::<name>: everything but its main.cpp. HEADERS are the public ones:
# they are installed, and each must compile alone (all_verify_interface_header_sets). Of the PRIVATE_LIBS a
# user of the installed library links those that have code, and never sees those that are headers only.
function(weir_library name)
    cmake_parse_arguments(arg "" "" "SOURCES;HEADERS;LIBS;PRIVATE_LIBS" ${ARGN})
    add_library(weir_${name} STATIC ${arg_SOURCES})
    add_library(weir::${name} ALIAS weir_${name})
    set_target_properties(weir_${name} PROPERTIES EXPORT_NAME ${name} VERIFY_INTERFACE_HEADER_SETS ON)
    target_sources(weir_${name} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${arg_HEADERS})
    target_compile_features(weir_${name} PUBLIC cxx_std_20)
    target_link_libraries(weir_${name} PUBLIC ${arg_LIBS} PRIVATE $<BUILD_INTERFACE:weir_options>)
    foreach(lib IN LISTS arg_PRIVATE_LIBS)
        get_target_property(type ${lib} TYPE)
        if(type STREQUAL INTERFACE_LIBRARY)
            set(lib $<BUILD_INTERFACE:${lib}>)
        endif()
        target_link_libraries(weir_${name} PRIVATE ${lib})
    endforeach()
    set_property(GLOBAL APPEND PROPERTY WEIR_LIBRARIES weir_${name})
endfunction()

# For code that is not worth the time of the optimiser, which is most of a build: what runs once (programs'
# command lines), or only drives what is tested.
add_library(weir_quick INTERFACE)
target_compile_options(weir_quick INTERFACE ${WEIR_QUICK_FLAGS})

# weir_program(weir-inspect SOURCES inspect_main.cpp LIBS …)
function(weir_program name)
    cmake_parse_arguments(arg "" "" "SOURCES;LIBS" ${ARGN})
    add_executable(${name} ${arg_SOURCES})
    target_compile_definitions(${name} PRIVATE WEIR_VERSION="${PROJECT_VERSION}")
    target_link_libraries(${name} PRIVATE ${arg_LIBS} weir_options weir_quick)
    set_property(GLOBAL APPEND PROPERTY WEIR_PROGRAMS ${name})
endfunction()
