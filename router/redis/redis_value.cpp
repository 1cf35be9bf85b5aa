#include "router/redis/redis_value.hpp"

#include <hiredis/hiredis.h>

#include <charconv>

namespace weir::router {
namespace {

/// A reply nested deeper than any that is asked for is cut there.
constexpr int kDepthMax = 8;

RedisValue to_value(const redisReply& reply, int depth) {
    RedisValue value;
    const auto text = [&] { return std::string(reply.str, static_cast<std::size_t>(reply.len)); };
    switch (reply.type) {
        case REDIS_REPLY_INTEGER:
            value.kind = RedisValue::Kind::integer;
            value.integer = reply.integer;
            break;
        case REDIS_REPLY_STRING:
        case REDIS_REPLY_STATUS:
            value.kind = RedisValue::Kind::text;
            value.text = text();
            break;
        case REDIS_REPLY_ERROR:
            value.kind = RedisValue::Kind::error;
            value.text = text();
            break;
        case REDIS_REPLY_ARRAY:
            value.kind = RedisValue::Kind::array;
            for (std::size_t i = 0; i < reply.elements && depth < kDepthMax; ++i) {
                value.elements.push_back(to_value(*reply.element[i], depth + 1));
            }
            break;
        default:
            break;
    }
    return value;
}

}  // namespace

std::string_view RedisValue::error_code() const noexcept {
    if (!is_error()) return {};
    return std::string_view(text).substr(0, text.find(' '));
}

void append_command(std::span<const std::string> words, std::string& out) {
    std::vector<const char*> starts;
    std::vector<std::size_t> sizes;
    for (const std::string& word : words) {
        starts.push_back(word.data());
        sizes.push_back(word.size());
    }
    char* command = nullptr;
    const int size =
        redisFormatCommandArgv(&command, static_cast<int>(words.size()), starts.data(), sizes.data());
    if (size < 0) return;  // out of memory: nothing is sent, and the deadline says so
    out.append(command, static_cast<std::size_t>(size));
    redisFreeCommand(command);
}

void RedisReader::Free::operator()(redisReader* reader) const noexcept {
    redisReaderFree(reader);
}

RedisReader::RedisReader() : reader_(redisReaderCreate()) {}
RedisReader::~RedisReader() = default;
RedisReader::RedisReader(RedisReader&&) noexcept = default;
RedisReader& RedisReader::operator=(RedisReader&&) noexcept = default;

bool RedisReader::feed(std::string_view bytes) {
    if (!malformed_) malformed_ = redisReaderFeed(reader_.get(), bytes.data(), bytes.size()) != REDIS_OK;
    return !malformed_;
}

std::optional<RedisValue> RedisReader::next() {
    void* found = nullptr;
    if (malformed_) return std::nullopt;
    if (redisReaderGetReply(reader_.get(), &found) != REDIS_OK) {
        malformed_ = true;
        return std::nullopt;
    }
    if (found == nullptr) return std::nullopt;
    RedisValue value = to_value(*static_cast<redisReply*>(found), 0);
    freeReplyObject(found);
    return value;
}

std::optional<RedisRedirect> read_redirect(std::string_view error) {
    RedisRedirect redirect;
    redirect.ask = error.starts_with("ASK ");
    if (!redirect.ask && !error.starts_with("MOVED ")) return std::nullopt;
    const std::size_t slot = error.find(' ') + 1;
    const std::size_t address = error.find(' ', slot);
    const std::size_t colon = error.rfind(':');
    if (address == std::string_view::npos || colon == std::string_view::npos || colon <= address) {
        return std::nullopt;
    }
    redirect.host = error.substr(address + 1, colon - address - 1);
    const std::string_view port = error.substr(colon + 1);
    const auto read = std::from_chars(port.data(), port.data() + port.size(), redirect.port);
    if (read.ec != std::errc() || redirect.port == 0) return std::nullopt;
    return redirect;
}

}  // namespace weir::router
