#include <stdio.h>
#include <stdlib.h>
#include "subrosa.h"

static void check(subrosa_status status) {
    if (status == SUBROSA_OK) return;
    fprintf(stderr, "%s: %s\n", subrosa_status_name(status), subrosa_last_error());
    exit(1);
}

int main(void) {
    subrosa_config *config;
    subrosa_node *node;
    subrosa_invite *invite;
    subrosa_invite_options options = SUBROSA_INVITE_OPTIONS_INIT;
    subrosa_text text;

    check(subrosa_config_new(SUBROSA_PRESET_DESKTOP, "me-c.subrosa", &config));
    check(subrosa_config_set_passphrase(config, "correct horse battery staple"));
    check(subrosa_node_open(config, &node)); // makes the store, and an identity in it

    options.auto_accept = 1;
    check(subrosa_invite_create(node, &options, &invite));
    check(subrosa_invite_text(invite, &text));
    printf("Hand this to a friend: %s\n", text.ptr);
    fflush(stdout);

    for (int done = 0; !done;) {
        subrosa_event *event;
        subrosa_bytes body;
        check(subrosa_node_next_event(node, SUBROSA_FOREVER, &event));
        if (subrosa_event_kind(event) == SUBROSA_EVENT_MESSAGE) {
            check(subrosa_event_body(event, &body));
            printf("They say: %.*s\n", (int)body.len, (const char *)body.ptr);
            done = 1;
        }
        check(subrosa_node_ack(node, subrosa_event_id(event))); // until here a crash loses nothing
        subrosa_event_free(event);
    }

    check(subrosa_node_close(node));
    subrosa_node_free(node);
    subrosa_invite_free(invite);
    subrosa_config_free(config);
    return 0;
}
