/*
 * Three in one program: a node that passes envelopes on, Alice who publishes one under a password, and Bob who
 * subscribed to it. Neither knows an address of the other. In life each of them is a program of their own.
 *
 *     cc -I include publish.c libsubrosa_ffi.a -lpthread -ldl -lm -o publish && ./publish
 *
 * An argument names the folder for the stores; without one they are made where you are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "subrosa.h"

static void check(subrosa_status status, const char *what) {
    if (status == SUBROSA_OK) return;
    fprintf(stderr, "%s: %s (%s)\n", what, subrosa_last_error(), subrosa_status_name(status));
    exit(1);
}

/* Opens a store. Who listens serves others: it has a node port that they can dial. */
static subrosa_node *open_node(const char *folder, const char *name, const char *listen) {
    char path[1024];
    unsigned char key[32];
    subrosa_config *config = NULL;
    subrosa_node *node = NULL;
    if (snprintf(path, sizeof path, "%s/%s.subrosa", folder, name) >= (int)sizeof path) {
        fprintf(stderr, "the path of the folder is too long\n");
        exit(1);
    }
    memset(key, name[0], sizeof key); /* a real key is random and lives in the key store of the system */
    check(subrosa_config_new(SUBROSA_PRESET_TEST, path, &config), "config");
    check(subrosa_config_set_key(config, key, sizeof key), "key");
    if (listen != NULL) check(subrosa_config_set_listen(config, &listen, 1), "listen");
    check(subrosa_node_open(config, &node), "open");
    subrosa_config_free(config);
    return node;
}

/* The address of the node port, as soon as it is bound. */
static void node_address(subrosa_node *node, char *address, size_t size) {
    for (;;) {
        subrosa_snapshot *snapshot = NULL;
        subrosa_event *event = NULL;
        subrosa_text text;
        check(subrosa_node_status(node, &snapshot), "status");
        if (subrosa_snapshot_node_address(snapshot, 0, &text) == SUBROSA_OK) {
            snprintf(address, size, "%s", text.ptr);
            subrosa_snapshot_free(snapshot);
            return;
        }
        subrosa_snapshot_free(snapshot);
        if (subrosa_node_next_event(node, 10, &event) == SUBROSA_OK) subrosa_event_free(event);
    }
}

/* Pulls events until one of this kind comes. */
static subrosa_event *expect(subrosa_node *node, int32_t kind) {
    for (;;) {
        subrosa_event *event = NULL;
        check(subrosa_node_next_event(node, 60 * 1000, &event), "next event");
        if (subrosa_event_kind(event) == kind) return event;
        check(subrosa_node_ack(node, subrosa_event_id(event)), "ack");
        subrosa_event_free(event);
    }
}

static void done(subrosa_node *node, subrosa_event *event) {
    check(subrosa_node_ack(node, subrosa_event_id(event)), "ack");
    subrosa_event_free(event);
}

int main(int argc, char **argv) {
    const char *folder = argc > 1 ? argv[1] : ".";
    const char *words = "The well is open again.";
    const subrosa_topic topic = {{'n', 'e', 'w', 's'}};
    subrosa_publish_options publish = SUBROSA_PUBLISH_OPTIONS_INIT;
    subrosa_subscribe_options subscribe = SUBROSA_SUBSCRIBE_OPTIONS_INIT;
    subrosa_publication_id sent, ended;
    subrosa_subscription_id wanted;
    subrosa_subscriptions *left = NULL;
    subrosa_person alice_id, signer;
    subrosa_bytes body;
    subrosa_event *event;
    char address[128];
    double hashes = 0;
    uint32_t bits = 0;
    int32_t state = 0;

    /* A node in between; its operator learns topics, times and sizes, and cannot read a word. */
    subrosa_node *between = open_node(folder, "between", "127.0.0.1:0");
    subrosa_node *alice = open_node(folder, "alice", NULL);
    subrosa_node *bob = open_node(folder, "bob", NULL);
    node_address(between, address, sizeof address);
    printf("the node listens on %s\n", address);
    check(subrosa_peer_add(alice, address), "peer");
    check(subrosa_peer_add(bob, address), "peer");

    /* Bob: what is under this topic and opens with this password, from now on, until he unsubscribes. */
    subscribe.password = "the third stone from the left";
    subscribe.topics = &topic;
    subscribe.topics_count = 1;
    check(subrosa_subscribe(bob, &subscribe, &wanted), "subscribe");

    /* Alice: what it costs, and then it. */
    publish.password = subscribe.password;
    publish.topic = topic;
    publish.ttl_ms = 60 * 1000;
    publish.sign = 1;
    check(subrosa_pow_cost(alice, strlen(words), publish.ttl_ms, 0, &bits, &hashes, NULL), "cost");
    printf("it costs %.0f hashes (%u bits)\n", hashes, (unsigned)bits);
    check(subrosa_publish(alice, (const uint8_t *)words, strlen(words), &publish, &sent), "publish");
    event = expect(alice, SUBROSA_EVENT_PUBLISHED);
    check(subrosa_event_publication_id(event, &ended), "publication");
    check(subrosa_event_state(event, &state), "state");
    printf("published: %s\n",
           state == SUBROSA_PUBLISHED_SENT && memcmp(&sent, &ended, sizeof sent) == 0 ? "yes" : "no");
    done(alice, event);

    /* It comes once, as a durable event, also if Bob crashes before the ack. */
    event = expect(bob, SUBROSA_EVENT_ENVELOPE);
    check(subrosa_event_body(event, &body), "body");
    printf("bob reads: %.*s\n", (int)body.len, (const char *)body.ptr);
    check(subrosa_node_identity(alice, &alice_id), "identity");
    check(subrosa_event_person(event, &signer), "signer");
    printf("signed by alice: %s\n", memcmp(&alice_id, &signer, sizeof signer) == 0 ? "yes" : "no");
    done(bob, event);

    check(subrosa_unsubscribe(bob, &wanted), "unsubscribe");
    check(subrosa_subscription_list(bob, NULL, 10, &left), "subscriptions");
    printf("subscriptions left: %u\n", (unsigned)subrosa_subscriptions_len(left));
    subrosa_subscriptions_free(left);

    check(subrosa_node_close(alice), "close");
    check(subrosa_node_close(bob), "close");
    check(subrosa_node_close(between), "close");
    subrosa_node_free(alice);
    subrosa_node_free(bob);
    subrosa_node_free(between);
    printf("closed\n");
    return 0;
}
