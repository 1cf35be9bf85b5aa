/* A C program that limits itself with the installed libweir.so. */
#include <stdio.h>
#include <string.h>
#include <weir.h>

int main(int argc, char** argv) {
    char name[64];
    weir_options_t options = {0};
    weir_segment_t* segment;
    weir_actor_t* me;
    weir_limiter_t limiter;
    int admitted = 0;
    int i;

    if (argc != 2 || strcmp(weir_version(), argv[1]) != 0) return 1;
    snprintf(name, sizeof name, "weir-package-c-%p", (void*)&options);
    options.struct_bytes = sizeof options;
    options.segment_bytes = 1u << 20;
    if (weir_open(name, &options, &segment) != WEIR_OK) return 2;
    if (weir_join(segment, "consumer", &me) != WEIR_OK) return 3;
    if (weir_limiter(segment, "key", "alice", WEIR_REQUESTS, 60000, 3, &limiter) != WEIR_OK) return 4;
    for (i = 0; i < 5; ++i) {
        const weir_charge_t charge = {limiter, 1};
        weir_ticket_t ticket;
        if (weir_admit(me, &charge, 1, NULL, 0, &ticket, NULL) == WEIR_OK) {
            ++admitted;
            weir_ticket_close(me, ticket);
        }
    }
    weir_leave(me);
    weir_close(segment);
    weir_remove(name);
    return admitted == 3 ? 0 : 5;
}
