// What each status of the C API means, in a few words.
#include "shm/weir.h"

extern "C" {

const char* weir_strerror(int status) {
    switch (status) {
        case WEIR_OK:
            return "success";
        case WEIR_OVER_LIMIT:
            return "refused: over a limit now";
        case WEIR_NEVER_FITS:
            return "refused: more than a limit allows at all";
        case WEIR_IN_FLIGHT:
            return "refused: too many in flight";
        case WEIR_EVICTED:
            return "refused: the limiter was idle and its place reused; look it up again";
        case WEIR_CORRUPT:
            return "refused: the segment's words make no sense";
        case WEIR_ERR_ARGUMENT:
            return "an argument is out of range";
        case WEIR_ERR_TICKET:
            return "no such ticket";
        case WEIR_ERR_NOT_THERE:
            return "there is no such segment";
        case WEIR_ERR_TOO_SHORT:
            return "the segment's file was truncated";
        case WEIR_ERR_NOT_READY:
            return "another process is at work on the segment for too long";
        case WEIR_ERR_LAYOUT:
            return "the segment was made by another version";
        case WEIR_ERR_BOOT:
            return "the segment was made before the host's last boot";
        case WEIR_ERR_CLOCK:
            return "the segment was made in another time namespace";
        case WEIR_ERR_NO_SPACE:
            return "/dev/shm is too small";
        case WEIR_ERR_PERMISSION:
            return "not permitted";
        case WEIR_ERR_NAME:
            return "not a name for a segment";
        case WEIR_ERR_FULL:
            return "the segment has no room for another";
        case WEIR_ERR_MEMORY:
            return "out of memory";
        case WEIR_ERR_FORKED:
            return "opened by the parent process";
        case WEIR_ERR_SYSTEM:
            return "system error";
        case WEIR_ERR_BOOT_UNKNOWN:
            return "the host's boot cannot be told";
        case WEIR_ERR_NOT_A_FILE:
            return "what bears the name is no file";
        default:
            return "unknown status";
    }
}

}  // extern "C"
