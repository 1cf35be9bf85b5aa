// Which answer a path asks for.
//
// Thread safety: pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir::fake_server {

enum class Route : std::uint8_t {
    unknown,
    chat,           ///< /chat/completions
    completions,    ///< /completions
    embeddings,     ///< /embeddings
    responses,      ///< /responses
    moderations,    ///< /moderations
    transcription,  ///< /audio/transcriptions and /audio/translations
    speech,         ///< /audio/speech: bytes that are no text
    images,         ///< /images/generations, /images/edits, /images/variations
    models,         ///< /models and /models/{id}
    ledger,
    script,
    last,
    echo,
    health,
};

struct Routed {
    Route route = Route::unknown;
    std::string_view deployment;  ///< the model that the path names, in Azure's way and the like
    std::string_view allow;       ///< the methods it answers to, as in an `allow` header
};

/// Knows every path with and without /v1, and below /engines/{model} and
/// /openai/deployments/{model}.
Routed route(std::string_view path) noexcept;

/// Whether requests to it count against the limit and are entered in the ledger.
bool asks_model(Route route) noexcept;

/// Whether `method` is one of the comma-separated methods in `allow`.
bool allows(std::string_view allow, std::string_view method) noexcept;

}  // namespace weir::fake_server
