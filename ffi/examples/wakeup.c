/*
 * A host with an event loop of its own: the wake-up callback writes one byte into a pipe, and poll() watches the pipe
 * beside whatever else the host waits for. Runs until it has seen its invite expire.
 */
#define _POSIX_C_SOURCE 200112L
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "subrosa.h"

static void check(subrosa_status status) {
    if (status == SUBROSA_OK) return;
    fprintf(stderr, "%s: %s\n", subrosa_status_name(status), subrosa_last_error());
    exit(1);
}

/* On any thread of the library: signal and return, nothing else. A full pipe is fine: it wakes as well. */
static void wake(void *userdata) {
    const int *pipe_ends = (const int *)userdata;
    int saved = errno;
    if (write(pipe_ends[1], "", 1) < 0) { /* full, so the loop wakes anyway */
    }
    errno = saved;
}

/* On the thread of the loop: takes every event there is. Gives whether the invite has expired. */
static int drain(subrosa_node *node) {
    subrosa_status status;
    subrosa_event *event;
    int expired = 0;
    while ((status = subrosa_node_next_event(node, 0, &event)) == SUBROSA_OK) {
        if (subrosa_event_kind(event) == SUBROSA_EVENT_INVITE_EXPIRED) expired = 1;
        check(subrosa_node_ack(node, subrosa_event_id(event)));
        subrosa_event_free(event);
    }
    if (status != SUBROSA_TIMED_OUT) check(status);
    return expired;
}

int main(int argc, char **argv) {
    const unsigned char key[32] = {7}; /* a real one comes from the key store of the system */
    subrosa_config *config;
    subrosa_node *node;
    subrosa_invite *invite;
    subrosa_invite_options options = SUBROSA_INVITE_OPTIONS_INIT;
    int pipe_ends[2];
    int expired = 0;

    if (pipe(pipe_ends) != 0) return 1;
    fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK);
    fcntl(pipe_ends[1], F_SETFL, O_NONBLOCK);

    check(subrosa_config_new(SUBROSA_PRESET_TEST, argc > 1 ? argv[1] : "wakeup.subrosa", &config));
    check(subrosa_config_set_key(config, key, sizeof key));
    check(subrosa_node_open(config, &node));
    subrosa_config_free(config);
    check(subrosa_node_set_wakeup(node, wake, pipe_ends));

    options.expires_in_ms = 1000;
    check(subrosa_invite_create(node, &options, &invite));
    subrosa_invite_free(invite);

    while (!expired) {
        struct pollfd watched[1]; /* and the descriptors of the host */
        char bytes[64];
        watched[0].fd = pipe_ends[0];
        watched[0].events = POLLIN;
        if (poll(watched, 1, -1) < 0 && errno != EINTR) return 1;
        while (read(pipe_ends[0], bytes, sizeof bytes) > 0) { /* first empty the pipe, then the queue */
        }
        expired = drain(node);
    }
    puts("the invite expired");

    check(subrosa_node_close(node)); /* wake() does not run any more */
    subrosa_node_free(node);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    return 0;
}
