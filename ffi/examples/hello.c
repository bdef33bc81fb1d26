/*
 * Two people in one program: Alice invites Bob, Bob redeems, Alice accepts, Bob sends one message, Alice gets it, Bob
 * learns that she did. In life each of them is a program of their own.
 *
 *     cc -I include hello.c libsubrosa_ffi.a -lpthread -ldl -lm -o hello && ./hello
 *
 * An argument names the folder for the two stores; without one they are made where you are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "subrosa.h"

/* Every call gives a status; the text of the last failure is kept per thread. */
static void check(subrosa_status status, const char *what) {
    if (status == SUBROSA_OK) return;
    fprintf(stderr, "%s: %s (%s)\n", what, subrosa_last_error(), subrosa_status_name(status));
    exit(1);
}

/* Opens the store of one person, making it if there is none. */
static subrosa_node *open_node(const char *folder, const char *name) {
    char path[1024];
    char text[SUBROSA_PERSON_TEXT_SIZE];
    unsigned char key[32];
    subrosa_config *config = NULL;
    subrosa_node *node = NULL;
    subrosa_person self;

    if (snprintf(path, sizeof path, "%s/%s.subrosa", folder, name) >= (int)sizeof path) {
        fprintf(stderr, "the path of the folder is too long\n");
        exit(1);
    }
    memset(key, name[0], sizeof key); /* a real key is random and lives in the key store of the system */
    check(subrosa_config_new(SUBROSA_PRESET_TEST, path, &config), "config");
    check(subrosa_config_set_key(config, key, sizeof key), "key");
    check(subrosa_node_open(config, &node), "open");
    subrosa_config_free(config); /* the node has its own copy */
    memset(key, 0, sizeof key);

    check(subrosa_node_identity(node, &self), "identity");
    check(subrosa_person_text(&self, text, sizeof text), "text");
    printf("%s is %s\n", name, text);
    return node;
}

/*
 * Pulls events until one of this kind comes, and acks those before it: this program does nothing about them. The event
 * wanted is the caller's to act on, to ack and to free.
 */
static subrosa_event *expect(subrosa_node *node, int32_t kind) {
    for (;;) {
        subrosa_event *event = NULL;
        check(subrosa_node_next_event(node, 30 * 1000, &event), "next event");
        if (subrosa_event_kind(event) == kind) return event;
        check(subrosa_node_ack(node, subrosa_event_id(event)), "ack");
        subrosa_event_free(event);
    }
}

/* What the event says is dealt with: it will not come again. */
static void done(subrosa_node *node, subrosa_event *event) {
    check(subrosa_node_ack(node, subrosa_event_id(event)), "ack");
    subrosa_event_free(event);
}

int main(int argc, char **argv) {
    const char *folder = argc > 1 ? argv[1] : ".";
    const char *hello = "Hello, Alice!";
    subrosa_node *alice, *bob;
    subrosa_invite *invite = NULL;
    subrosa_redeem_options redeem = SUBROSA_REDEEM_OPTIONS_INIT;
    subrosa_event *event;
    subrosa_person alice_id, bob_id;
    subrosa_message_id sent, got;
    subrosa_text text;
    subrosa_bytes body;
    int32_t state = 0;

    if (subrosa_abi_version() != SUBROSA_ABI_VERSION) {
        fprintf(stderr, "library %s does not fit this program\n", subrosa_version());
        return 1;
    }
    alice = open_node(folder, "alice");
    bob = open_node(folder, "bob");

    /* Alice makes an invite and hands its text over: on paper, as a QR code, by another messenger. */
    check(subrosa_invite_create(alice, NULL, &invite), "invite");
    check(subrosa_invite_text(invite, &text), "invite text");
    printf("alice's invite: %s\n", text.ptr);

    /* Bob redeems it, and Alice is asked. */
    redeem.greeting = "It is me, Bob";
    check(subrosa_invite_redeem(bob, text.ptr, &redeem, &alice_id), "redeem");
    subrosa_invite_free(invite);
    event = expect(alice, SUBROSA_EVENT_REQUEST);
    check(subrosa_event_person(event, &bob_id), "person");
    check(subrosa_event_text(event, &text), "greeting");
    printf("bob asks: %s\n", text.ptr);
    check(subrosa_request_accept(alice, &bob_id), "accept");
    done(alice, event);

    /* Both sides said so: friends. */
    event = expect(bob, SUBROSA_EVENT_FRIEND);
    check(subrosa_event_state(event, &state), "change");
    printf("friends: %s\n", state == SUBROSA_FRIEND_ADDED ? "yes" : "no");
    done(bob, event);

    /* When this returns, the message is on Bob's disk, and can only be delivered, refused, expired or cancelled. */
    check(subrosa_message_send(bob, &alice_id, (const uint8_t *)hello, strlen(hello), NULL, &sent), "send");
    event = expect(alice, SUBROSA_EVENT_MESSAGE);
    check(subrosa_event_body(event, &body), "body");
    check(subrosa_event_message_id(event, &got), "message id");
    printf("alice reads: %.*s\n", (int)body.len, (const char *)body.ptr);
    done(alice, event); /* before this ack it would come again after a crash, under the same id */

    event = expect(bob, SUBROSA_EVENT_DELIVERY);
    check(subrosa_event_state(event, &state), "state");
    printf("delivered: %s\n", state == SUBROSA_DELIVERY_DELIVERED ? "yes" : "no");
    printf("the same id on both sides: %s\n", memcmp(&sent, &got, sizeof sent) == 0 ? "yes" : "no");
    done(bob, event);

    /* The end: close, then free. */
    check(subrosa_node_close(bob), "close");
    check(subrosa_node_close(alice), "close");
    subrosa_node_free(bob);
    subrosa_node_free(alice);
    printf("closed\n");
    return 0;
}
