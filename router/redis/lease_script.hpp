// The lease script: what the store does with a beat, as one indivisible step.
//
// tests/support/lease_store.hpp is the same in C++, for the simulation; a test compares the two.
#pragma once

#include <string>
#include <string_view>

namespace weir::router {

/// Lua, as EVAL and SCRIPT LOAD take it.
std::string_view lease_script() noexcept;

/// Its SHA-1 in hexadecimal, as EVALSHA takes it.
const std::string& lease_script_sha1();

}  // namespace weir::router
