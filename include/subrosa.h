/*
 * subrosa.h: private messaging between friends, for C and every language that can call C.
 *
 * Rendered from the Rust source; do not edit.
 *
 *
 * 1. A FIRST PROGRAM
 * ------------------
 * It opens a node, invites a friend, waits for a message and shows it:
 *
 *     #include <stdio.h>
 *     #include <stdlib.h>
 *     #include "subrosa.h"
 *
 *     static void check(subrosa_status status) {
 *         if (status == SUBROSA_OK) return;
 *         fprintf(stderr, "%s: %s\n", subrosa_status_name(status), subrosa_last_error());
 *         exit(1);
 *     }
 *
 *     int main(void) {
 *         subrosa_config *config;
 *         subrosa_node *node;
 *         subrosa_invite *invite;
 *         subrosa_invite_options options = SUBROSA_INVITE_OPTIONS_INIT;
 *         subrosa_text text;
 *
 *         check(subrosa_config_new(SUBROSA_PRESET_DESKTOP, "me-c.subrosa", &config));
 *         check(subrosa_config_set_passphrase(config, "correct horse battery staple"));
 *         check(subrosa_node_open(config, &node)); // makes the store, and an identity in it
 *
 *         options.auto_accept = 1;
 *         check(subrosa_invite_create(node, &options, &invite));
 *         check(subrosa_invite_text(invite, &text));
 *         printf("Hand this to a friend: %s\n", text.ptr);
 *         fflush(stdout);
 *
 *         for (int done = 0; !done;) {
 *             subrosa_event *event;
 *             subrosa_bytes body;
 *             check(subrosa_node_next_event(node, SUBROSA_FOREVER, &event));
 *             if (subrosa_event_kind(event) == SUBROSA_EVENT_MESSAGE) {
 *                 check(subrosa_event_body(event, &body));
 *                 printf("They say: %.*s\n", (int)body.len, (const char *)body.ptr);
 *                 done = 1;
 *             }
 *             check(subrosa_node_ack(node, subrosa_event_id(event))); // until here a crash loses nothing
 *             subrosa_event_free(event);
 *         }
 *
 *         check(subrosa_node_close(node));
 *         subrosa_node_free(node);
 *         subrosa_invite_free(invite);
 *         subrosa_config_free(config);
 *         return 0;
 *     }
 *
 * Build it with the shared library:    cc -I include me.c -L LIB -lsubrosa_ffi -Wl,-rpath,LIB -o me
 * or with the static one, on Linux:    cc -I include me.c LIB/libsubrosa_ffi.a -lpthread -ldl -lm -o me
 *
 *
 * 2. ERRORS
 * ---------
 * Functions that can fail return a subrosa_status: SUBROSA_OK, which is 0, or a code that says what kind of failure it
 * was. Decide by the code; show people the text of subrosa_last_error(), which names the reason and what to do. The
 * text is kept per thread rather than handed out through one more parameter, so that no call gets longer, nothing has
 * to be freed, and bindings can fetch it only when they need it: fetch it on the thread that made the call, before its
 * next call. A failed call has written nothing to its outputs and, unless it says otherwise, changed nothing.
 *
 * A defect of the library ends as SUBROSA_INTERNAL (99) instead of taking your process down.
 *
 * Other functions cannot fail and return void or their value: those that end in _free, _len or _at, the names and texts
 * (subrosa_status_name, subrosa_last_error, subrosa_refusal_text), versions, subrosa_event_kind and subrosa_event_id.
 *
 *
 * 3. POINTERS, TEXT, BYTES
 * ------------------------
 * - Inputs come first, outputs last. const means that the library does not write there.
 * - A NULL where something is needed gives SUBROSA_NULL_OR_CLOSED. Where NULL is allowed, the function says so. Every
 *   _free function takes NULL.
 * - Text goes in as UTF-8 that ends with a zero byte, and is copied. Text comes out as subrosa_text, which has a length
 *   and ends with a zero byte, too. Bytes go in as pointer and length (a NULL pointer is fine with length 0) and come
 *   out as subrosa_bytes.
 * - Ids are structs of fixed size: assign them, compare them with memcmp(), keep their bytes.
 * - Choices are numbers (int32_t), not enums: one that the library does not know is an error, never undefined.
 * - Times are milliseconds since 1970 UTC, durations milliseconds.
 * - Options are structs that start with their size and may grow at their end. Start from the _INIT macro, then set what
 *   you need; NULL is all defaults. A program compiled with an older header keeps working with a newer library.
 *
 *
 * 4. OWNERSHIP
 * ------------
 * What a function hands out as a handle (subrosa_identity, subrosa_config, subrosa_node, subrosa_invite, subrosa_event,
 * and so on) is yours, and is freed once by the _free function of its name, never by free(). What you hand in stays
 * yours: the library copies what it keeps. A view (subrosa_text, subrosa_bytes) belongs to the handle it came from and
 * is valid until that is freed.
 *
 * Handles are looked up, not followed. One that was freed, or is of another kind, is an error
 * (SUBROSA_NULL_OR_CLOSED, SUBROSA_INVALID_ARGUMENT), and freeing one twice does nothing, as freeing NULL does. Views
 * are plain pointers: reading one after its handle was freed is undefined. A node that is closed but not freed gives
 * SUBROSA_WRONG_STATE.
 *
 * Lists are handles of their own. They come in pages: ask for what comes after (or before) the last one you have seen.
 * What is in a list is const, belongs to it, and ends with it:
 *
 *     subrosa_friends *friends;
 *     const subrosa_friend *one;
 *     check(subrosa_friend_list(node, NULL, 100, &friends));
 *     for (size_t i = 0; (one = subrosa_friends_at(friends, i)) != NULL; i++) {
 *         subrosa_text name;
 *         if (subrosa_friend_name(one, &name) == SUBROSA_OK) puts(name.ptr);  // else SUBROSA_NOT_FOUND: it has none
 *     }
 *     subrosa_friends_free(friends);
 *
 *
 * 5. THREADS
 * ----------
 * Every function may be called from any thread, at any time, several at once on one handle. Free a handle when no
 * other thread needs it or its views any more; a call that is in progress ends well nonetheless. No call waits longer
 * than one write to disk, except subrosa_node_next_event (as long as you say), those that take a passphrase or use one
 * (subrosa_node_open, subrosa_node_resume, subrosa_store_change_passphrase; subrosa_publish and subrosa_subscribe with
 * a password), subrosa_pow_cost, which measures, subrosa_node_pause, subrosa_node_close,
 * subrosa_node_free, subrosa_store_wipe, subrosa_store_wipe_closed, and subrosa_conversation_delete. The library has
 * threads of its own; nothing depends on the thread that opened a node.
 *
 * Do not unload the library (dlclose, FreeLibrary) right after subrosa_node_free(): a thread of it may still be on its
 * way out, in code that would be gone. Leave it loaded until the process ends.
 *
 * Threads do not survive fork(): in the child of a process that has used handles, calls give SUBROSA_WRONG_STATE, and
 * _free functions do nothing. Such a child may only exec() or _exit(). A process that forks first may use the library
 * in its child.
 *
 *
 * 6. EVENTS AND ACKS
 * ------------------
 * What happens is pulled with subrosa_node_next_event(), by one thread that waits, or by a loop that is woken (7). An
 * event has a kind, and a getter per field; a getter gives SUBROSA_INVALID_ARGUMENT when events of this kind never have
 * the field, and SUBROSA_NOT_FOUND when they can and this one has not.
 *
 * Events with an id are durable: a message, the end of a message you sent, a request, a change of a friendship. They
 * are on disk, and come again when the store is opened the next time (or a node is resumed) until you call
 * subrosa_node_ack(). So do what the event asks for first (store it, show it, answer it), and ack then. If you crash in
 * between, it comes again, a message always under the same message id: to act exactly once, keep that id together with
 * the effect. Ack also what you do not care for; friends wait when too many messages are not acked. Kinds you do not
 * know come from later versions: ack and free them.
 *
 * The other events tell what is so at the moment. They are lost when nobody pulls them for long, and an event of kind
 * SUBROSA_EVENT_DROPPED says how many.
 *
 *
 * 7. WAKING AN EVENT LOOP
 * -----------------------
 * A thread that waits in subrosa_node_next_event() needs nothing else. A loop that must not block sets a callback,
 * which signals it; here with a pipe whose both ends do not block, but eventfd(), PostMessage() or dispatch_async() do
 * as well:
 *
 *     static void wake(void *userdata) {            // on a thread of the library
 *         int *ends = userdata;
 *         if (write(ends[1], "", 1) < 0) { }        // full: the loop wakes anyway
 *     }
 *     ...
 *     subrosa_node_set_wakeup(node, wake, ends);
 *     ...
 *     while (poll(fds, n, -1) >= 0) {               // fds holds ends[0]
 *         while (read(ends[0], buffer, sizeof buffer) > 0) { }                // first empty the pipe,
 *         while (subrosa_node_next_event(node, 0, &event) == SUBROSA_OK) {    // then the queue
 *             handle(event);
 *             subrosa_node_ack(node, subrosa_event_id(event));
 *             subrosa_event_free(event);
 *         }
 *     }
 *
 * The whole program is ffi/examples/wakeup.c. Callbacks (this one and that of subrosa_log_set) come on threads of the
 * library or on the one that is in a call. They must return at once, must not throw or unwind, and must not call the
 * library: functions that return a status give SUBROSA_FROM_CALLBACK there; those that say so may be called.
 *
 *
 * 8. SHUTTING DOWN
 * ----------------
 *   1. Make the threads that send and invite stop doing so.
 *   2. Call subrosa_node_close(). It writes what is to be written, and a thread that waits in
 *      subrosa_node_next_event() returns with SUBROSA_WRONG_STATE.
 *   3. Join the threads that used the node. The wake-up callback does not run any more: free what it used.
 *   4. Free events, invites, and last the node, with subrosa_node_free().
 * If the process is killed instead, nothing is lost: what was sent goes on the next time, and what was not acked comes
 * again. A phone that goes to the background calls subrosa_node_pause() instead, and subrosa_node_resume() later.
 *
 *
 * 9. WITHOUT A LINK
 * -----------------
 * Friends need not be online together, and need not know an address of each other. Give the node a peer, and an archive
 * that keeps what comes while you are away:
 *
 *     check(subrosa_peer_add(node, "node.example.org:30400"));
 *     check(subrosa_archive_add(node, "archive.example.org:30400", NULL, 0));
 *
 * From then on, messages to friends go in sealed envelopes whenever there is no link, without another call; each comes
 * once, in order, whichever way it took (subrosa_event_way). An envelope costs a little work of the processor, so that
 * nobody floods the network; a message that is too large or too dear for one waits for a link, and a waiting event says
 * so. subrosa_request_send() makes a friend of somebody of whom you know nothing but the identity.
 *
 * subrosa_publish() and subrosa_subscribe() are for envelopes of your own: to a person, a shared key or a password,
 * under topics that you choose. The whole program is ffi/examples/publish.c. A node that serves others sets
 * subrosa_config_set_listen(), and one that keeps envelopes for them subrosa_config_keep_archive().
 *
 *
 * 10. VERSIONS
 * ------------
 * Within one SUBROSA_ABI_VERSION functions, numbers, event kinds and options are added, and none is changed or taken
 * away. A program that loads the library at run time compares subrosa_abi_version() with SUBROSA_ABI_VERSION first.
 *
 *
 * The functions follow in this order: status, version, plain values, identity, config, Whisper in the config, node,
 * snapshot, store, invite, request, friend, message, history, publication, subscription, peer, event, log.
 */


#ifndef SUBROSA_H
#define SUBROSA_H

#include <stddef.h>
#include <stdint.h>

/** All defaults: subrosa_invite_options options = SUBROSA_INVITE_OPTIONS_INIT; */
#define SUBROSA_INVITE_OPTIONS_INIT {sizeof(subrosa_invite_options), 0, NULL, NULL, 0, 0, 0}
/** All defaults: subrosa_redeem_options options = SUBROSA_REDEEM_OPTIONS_INIT; */
#define SUBROSA_REDEEM_OPTIONS_INIT {sizeof(subrosa_redeem_options), NULL, NULL, 0}
/** All defaults: subrosa_send_options options = SUBROSA_SEND_OPTIONS_INIT; */
#define SUBROSA_SEND_OPTIONS_INIT {sizeof(subrosa_send_options), NULL, NULL, NULL, 0, 0, 0}
/** All defaults: subrosa_keep_options options = SUBROSA_KEEP_OPTIONS_INIT; */
#define SUBROSA_KEEP_OPTIONS_INIT {sizeof(subrosa_keep_options), 0, 0, 0, NULL, 0, 0, 0}
/** All but who can open it: subrosa_publish_options options = SUBROSA_PUBLISH_OPTIONS_INIT; */
#define SUBROSA_PUBLISH_OPTIONS_INIT {sizeof(subrosa_publish_options), NULL, NULL, 0, NULL, 0, 0, 0, {{0}}, 0}
/** All defaults: subrosa_subscribe_options options = SUBROSA_SUBSCRIBE_OPTIONS_INIT; */
#define SUBROSA_SUBSCRIBE_OPTIONS_INIT \
    {sizeof(subrosa_subscribe_options), NULL, NULL, 0, NULL, NULL, 0, NULL, NULL, 0, 0}


/**
 * The version of this header: changes of the first number may break programs. Before 1.0, changes of the second may.
 */
#define SUBROSA_VERSION_MAJOR 0

/**
 * See SUBROSA_VERSION_MAJOR: rises when functions, events or options are added.
 */
#define SUBROSA_VERSION_MINOR 1

/**
 * See SUBROSA_VERSION_MAJOR: rises when defects are removed.
 */
#define SUBROSA_VERSION_PATCH 0

/**
 * The three in one number that can be compared: 0xMMmmpp.
 */
#define SUBROSA_VERSION_NUMBER (((SUBROSA_VERSION_MAJOR << 16) | (SUBROSA_VERSION_MINOR << 8)) | SUBROSA_VERSION_PATCH)

/**
 * The binary interface of this header. It rises only when a program compiled against an older header could go wrong
 * with the library; additions leave it alone. Compare it with subrosa_abi_version() when you load the library at run
 * time.
 */
#define SUBROSA_ABI_VERSION 1

/**
 * Room for the text form of a person, with the zero at its end.
 */
#define SUBROSA_PERSON_TEXT_SIZE 80

/**
 * A computer: any free port on all addresses.
 */
#define SUBROSA_PRESET_DESKTOP 1

/**
 * A phone: smaller queues.
 */
#define SUBROSA_PRESET_MOBILE 2

/**
 * A machine that is always on: larger queues.
 */
#define SUBROSA_PRESET_SERVER 3

/**
 * Tests: 127.0.0.1 only, short waits.
 */
#define SUBROSA_PRESET_TEST 4

/**
 * For subrosa_config_set_number(): whether friends made by invite are direct at first (0 or 1). A friend who is not
 * direct never learns an address of yours.
 */
#define SUBROSA_CONFIG_DIRECT 1

/**
 * For subrosa_config_set_number(): whether idle links are kept alive (0 or 1). For the foreground only.
 */
#define SUBROSA_CONFIG_KEEP_ALIVE 2

/**
 * For subrosa_config_set_number(): most messages waiting for one friend.
 */
#define SUBROSA_CONFIG_QUEUE_MESSAGES 3

/**
 * For subrosa_config_set_number(): most bytes waiting for one friend.
 */
#define SUBROSA_CONFIG_QUEUE_BYTES 4

/**
 * For subrosa_config_set_number(): most messages of one friend that you have not acked before the friend must wait.
 */
#define SUBROSA_CONFIG_INBOX_MESSAGES 5

/**
 * For subrosa_config_set_number(): most bytes of them.
 */
#define SUBROSA_CONFIG_INBOX_BYTES 6

/**
 * For subrosa_config_set_number(): largest body taken from a friend, at most SUBROSA_MAX_BODY.
 */
#define SUBROSA_CONFIG_LARGEST_BODY 7

/**
 * For subrosa_config_set_number(): most events that are not durable waiting to be pulled, at least 1.
 */
#define SUBROSA_CONFIG_TRANSIENT_EVENTS 8

/**
 * For subrosa_config_set_number(): acked and ended messages older than so many milliseconds are deleted; 0 keeps them.
 */
#define SUBROSA_CONFIG_RETENTION_MS 9

/**
 * For subrosa_config_set_number(): whether friends made by request are direct at first (0, the default, or 1).
 */
#define SUBROSA_CONFIG_DIRECT_REQUESTS 10

/**
 * For subrosa_config_set_number(): which requests are shown, a SUBROSA_REQUESTS_ number.
 */
#define SUBROSA_CONFIG_REQUESTS 11

/**
 * For subrosa_config_set_number(): so many milliseconds without an open link, and messages go by envelope as well; at
 * once to friends who are not direct.
 */
#define SUBROSA_CONFIG_FALLBACK_MS 12

/**
 * For subrosa_config_set_number(): how many milliseconds an envelope with a message lives, a minute to 30 days. A
 * message without a receipt by then is sealed again.
 */
#define SUBROSA_CONFIG_COPY_TTL_MS 13

/**
 * For subrosa_config_set_number(): without a link, receipts go by envelope so many milliseconds after the last message.
 */
#define SUBROSA_CONFIG_RECEIPT_WAIT_MS 14

/**
 * For subrosa_config_set_number(): whether peers are asked only for what we listen to, and nothing is passed on (0 or
 * 1). Saves traffic; but peers know that what a light node sends is its own.
 */
#define SUBROSA_CONFIG_LIGHT 15

/**
 * For subrosa_config_set_number(): most bytes of envelopes kept for peers, at least 1 MiB.
 */
#define SUBROSA_CONFIG_POOL_BYTES 16

/**
 * For subrosa_config_set_number(): how many peers are looked for, at most 512.
 */
#define SUBROSA_CONFIG_PEERS_LEAST 17

/**
 * For subrosa_config_set_number(): how many peers are taken, 1 to 512, and no fewer than are looked for.
 */
#define SUBROSA_CONFIG_PEERS_MOST 18

/**
 * For subrosa_config_set_number(): threads that search for proof of work, 1 to 256.
 */
#define SUBROSA_CONFIG_WORK_THREADS 19

/**
 * For subrosa_config_set_number(): how many milliseconds the search for one message may take on average, on one
 * thread. What would take longer waits for a link, or is refused.
 */
#define SUBROSA_CONFIG_MOST_WORK_MS 20

/**
 * For subrosa_config_set_number(): whether the key of the node port outlives the process, so that others may name it
 * in addresses (0 or 1). For nodes and archives that serve; the node of a user gets a new one each time.
 */
#define SUBROSA_CONFIG_KEEP_NODE_KEY 21

/**
 * For subrosa_config_set_number(): whether friends who are direct are told the peers and archives that you named, without
 * grants, so that they find the same (0 or 1).
 */
#define SUBROSA_CONFIG_TELL_FRIENDS 22

/**
 * For subrosa_config_set_number(): whether the peers and archives that such friends name are used while you named too
 * few (0 or 1). Their operators see your address and what you ask for.
 */
#define SUBROSA_CONFIG_FROM_FRIENDS 23

/**
 * Which requests of people who know only our identity are shown: all.
 */
#define SUBROSA_REQUESTS_SHOW 1

/**
 * Which requests are shown: those that come by an invite of ours.
 */
#define SUBROSA_REQUESTS_KNOWN 2

/**
 * Which requests are shown: none.
 */
#define SUBROSA_REQUESTS_DROP 3

/**
 * What leaves a full archive first: what is oldest.
 */
#define SUBROSA_LEAVES_OLDEST 0

/**
 * What leaves a full archive first: what shows the least proof of work, so that a flood costs
 * its sender as much as all that it pushes out.
 */
#define SUBROSA_LEAVES_WEAKEST 1

/**
 * For subrosa_node_next_event(): waits as long as it takes.
 */
#define SUBROSA_FOREVER UINT64_MAX

/**
 * For subrosa_snapshot_number(): whether the node is paused (1 or 0); then the others are 0.
 */
#define SUBROSA_SNAPSHOT_PAUSED 1

/**
 * For subrosa_snapshot_number(): friends, friends-to-be not counted.
 */
#define SUBROSA_SNAPSHOT_FRIENDS 2

/**
 * For subrosa_snapshot_number(): friends with a link.
 */
#define SUBROSA_SNAPSHOT_LINKS 3

/**
 * For subrosa_snapshot_number(): messages that wait for friends.
 */
#define SUBROSA_SNAPSHOT_QUEUED_MESSAGES 4

/**
 * For subrosa_snapshot_number(): what those count against the limits of queues, in bytes.
 */
#define SUBROSA_SNAPSHOT_QUEUED_BYTES 5

/**
 * For subrosa_snapshot_number(): messages from friends that you have not acked.
 */
#define SUBROSA_SNAPSHOT_UNACKED_MESSAGES 6

/**
 * For subrosa_snapshot_number(): whether a friend confirmed the clock since it last jumped (1 or 0).
 */
#define SUBROSA_SNAPSHOT_CLOCK_CONFIRMED 7

/**
 * For subrosa_snapshot_number(): what this store is to its copies, a SUBROSA_STORE_ROLE_ number.
 */
#define SUBROSA_SNAPSHOT_STORE 8

/**
 * For subrosa_snapshot_number(): peers that exchange envelopes with us.
 */
#define SUBROSA_SNAPSHOT_PEERS 9

/**
 * For subrosa_snapshot_number(): archives that are asked.
 */
#define SUBROSA_SNAPSHOT_ARCHIVES 10

/**
 * Role of a store: the only one, as far as friends know.
 */
#define SUBROSA_STORE_ROLE_ONE 1

/**
 * Role of a store: a restored copy that took the place of another, and sends. You may confirm it, or stand it down.
 */
#define SUBROSA_STORE_ROLE_RESTORED 2

/**
 * Role of a store: another copy was met after it; it sends nothing until you decide.
 */
#define SUBROSA_STORE_ROLE_HELD 3

/**
 * Role of a store: you decided for another copy; it sends nothing and meets nobody.
 */
#define SUBROSA_STORE_ROLE_STOOD_DOWN 4

/**
 * For subrosa_store_decide(): this store is the one. It sends what waits, and friends prefer it to every copy they met;
 * the other copies stop sending as soon as they hear of it.
 */
#define SUBROSA_STORE_GO_ON 1

/**
 * For subrosa_store_decide(): another copy is the one. This one sends nothing, meets no friend and takes no message to
 * send, until it is told to go on.
 */
#define SUBROSA_STORE_STAND_DOWN 2

/**
 * State of an invite: it can be redeemed.
 */
#define SUBROSA_INVITE_OPEN 1

/**
 * State of an invite: somebody redeemed it.
 */
#define SUBROSA_INVITE_SPENT 2

/**
 * State of an invite: you took it back.
 */
#define SUBROSA_INVITE_REVOKED 3

/**
 * State of an invite: its time ran out.
 */
#define SUBROSA_INVITE_EXPIRED 4

/**
 * Room for a safety number, with the zero at its end.
 */
#define SUBROSA_SAFETY_NUMBER_SIZE 61

/**
 * State of a friendship: we redeem their invite and have not reached them.
 */
#define SUBROSA_FRIENDSHIP_REDEEMING 1

/**
 * State of a friendship: they have our request and have not answered it.
 */
#define SUBROSA_FRIENDSHIP_WAITING 2

/**
 * State of a friendship: both said so.
 */
#define SUBROSA_FRIENDSHIP_FRIEND 3

/**
 * State of a friendship: we block them, and whatever comes from them is not answered.
 */
#define SUBROSA_FRIENDSHIP_BLOCKED 4

/**
 * State of a friendship: it ended, and only what was said is left; only subrosa_conversation_list() gives such.
 */
#define SUBROSA_FRIENDSHIP_REMOVED 5

/**
 * Longest body of a message, in bytes.
 */
#define SUBROSA_MAX_BODY 60000

/**
 * Why a message was refused: larger than the friend takes.
 */
#define SUBROSA_REFUSAL_TOO_LARGE 1

/**
 * Why a message was refused: of a kind the friend does not know.
 */
#define SUBROSA_REFUSAL_UNKNOWN_KIND 2

/**
 * Why a message was refused: more lanes than the friend keeps.
 */
#define SUBROSA_REFUSAL_TOO_MANY_LANES 3

/**
 * Why a message was refused: the friend was removed.
 */
#define SUBROSA_REFUSAL_FRIEND_REMOVED 4

/**
 * A message goes over a link, or in an envelope when no link comes up.
 */
#define SUBROSA_SEND_WAY_ANY 0

/**
 * A message goes over a link and never in an envelope. Without a link it waits, and a waiting event says so.
 */
#define SUBROSA_SEND_WAY_LINK_ONLY 1

/**
 * A message goes in an envelope and never over a link, also while one is up. Without a peer or an archive it waits, and a
 * waiting event says so.
 */
#define SUBROSA_SEND_WAY_ENVELOPES_ONLY 2

/**
 * State of a message that is kept, besides those of deliveries: ours, and it waits for the friend.
 */
#define SUBROSA_DELIVERY_QUEUED 5

/**
 * State of a message that is kept, besides those of deliveries: the friend's.
 */
#define SUBROSA_DELIVERY_RECEIVED 6

/**
 * Kind of a subscription: what is sealed to the identity of this node.
 */
#define SUBROSA_SUBSCRIPTION_OWN 1

/**
 * Kind of a subscription: what is sealed to another identity.
 */
#define SUBROSA_SUBSCRIPTION_PRIVATE 2

/**
 * Kind of a subscription: what is sealed under a symmetric key.
 */
#define SUBROSA_SUBSCRIPTION_SYMMETRIC 3

/**
 * Kind of a subscription: what is sealed under a password.
 */
#define SUBROSA_SUBSCRIPTION_PASSWORD 4

/**
 * Durable. A friend's message: person, message_id, body, lane, sent, received, way; and if the sender said so
 * content_type, reply_to.
 */
#define SUBROSA_EVENT_MESSAGE 1

/**
 * Durable. A message we sent came to its end: person, message_id, state (SUBROSA_DELIVERY_); refusal if that is why.
 */
#define SUBROSA_EVENT_DELIVERY 2

/**
 * Durable. Somebody wants to be a friend: person, text (their greeting, maybe empty), state (SUBROSA_ORIGIN_); label
 * of the invite if it has one. Answer with subrosa_request_accept() or subrosa_request_decline().
 */
#define SUBROSA_EVENT_REQUEST 3

/**
 * Durable. A friendship began, changed or ended: person, state (SUBROSA_FRIEND_).
 */
#define SUBROSA_EVENT_FRIEND 4

/**
 * Durable. A friend refused a message for good, and its lane stands still until subrosa_lane_retry() or
 * subrosa_lane_skip(): person, lane, message_id, refusal.
 */
#define SUBROSA_EVENT_LANE_STOPPED 5

/**
 * Durable. Somebody else came with an invite that was used already: its text has leaked. invite_id; label if it has
 * one.
 */
#define SUBROSA_EVENT_INVITE_REUSED 6

/**
 * Durable. An invite of ours ended unused (label if it has one), or one we redeemed was never answered (person).
 * invite_id.
 */
#define SUBROSA_EVENT_INVITE_EXPIRED 7

/**
 * Durable. This store is an older copy of itself, or there are two of it: a friend met another one. person, state
 * (SUBROSA_OWN_STORE_). SUBROSA_SNAPSHOT_STORE tells whether it goes on sending, subrosa_store_decide() decides.
 */
#define SUBROSA_EVENT_OWN_STORE 8

/**
 * A friend says something for now only: person, body.
 */
#define SUBROSA_EVENT_TRANSIENT 9

/**
 * The link with a friend came up or went down: person, state (SUBROSA_LINK_); text (the address of the friend) when it
 * came up.
 */
#define SUBROSA_EVENT_LINK 10

/**
 * A bound was reached, or there is room again: what (SUBROSA_FULL_), state (1 full, 0 room again); person where it is
 * one friend's.
 */
#define SUBROSA_EVENT_FULL 11

/**
 * Our clock and a friend's differ by more than a minute: number (ours minus theirs, in milliseconds).
 */
#define SUBROSA_EVENT_CLOCK 12

/**
 * A part of the library crashed and was started again, or the store cannot be written at the moment: text.
 */
#define SUBROSA_EVENT_FAULT 13

/**
 * Events that are not durable were lost because nobody pulled them: number (how many).
 */
#define SUBROSA_EVENT_DROPPED 14

/**
 * Durable. A publication came to its end: publication_id, state (SUBROSA_PUBLISHED_).
 */
#define SUBROSA_EVENT_PUBLISHED 15

/**
 * Durable. An envelope that a subscription opened, once per subscription: subscription_id, body, topic, sent, expires,
 * pow, hash; person if it is signed.
 */
#define SUBROSA_EVENT_ENVELOPE 16

/**
 * A search for proof of work goes on: publication_id, number (hashes so far), expected.
 */
#define SUBROSA_EVENT_PROGRESS 17

/**
 * A message cannot go for now, and waits with what follows on its lane: person, lane, message_id, state
 * (SUBROSA_WAITS_). Said once for each message and reason until a link comes up.
 */
#define SUBROSA_EVENT_WAITING 18

/**
 * State of a request event: it came by an invite of ours.
 */
#define SUBROSA_ORIGIN_INVITE 1

/**
 * State of a request event: it came by our identity alone, through Whisper.
 */
#define SUBROSA_ORIGIN_WHISPER 2

/**
 * State of a published event: a peer took it, and it spreads until its time to live ends.
 */
#define SUBROSA_PUBLISHED_SENT 1

/**
 * State of a published event: its proof of work was not found within the limit.
 */
#define SUBROSA_PUBLISHED_TOO_DEAR 2

/**
 * State of a published event: it ended before a peer took it.
 */
#define SUBROSA_PUBLISHED_EXPIRED 3

/**
 * State of a published event: it was taken back.
 */
#define SUBROSA_PUBLISHED_CANCELLED 4

/**
 * State of a published event: the network takes no such envelope.
 */
#define SUBROSA_PUBLISHED_REFUSED 5

/**
 * State of a waiting event: the message does not fit one envelope.
 */
#define SUBROSA_WAITS_TOO_LARGE 1

/**
 * State of a waiting event: its proof of work would take longer than SUBROSA_CONFIG_MOST_WORK_MS.
 */
#define SUBROSA_WAITS_TOO_DEAR 2

/**
 * State of a waiting event: there is no key of the friend's to seal it with, or too much is under way.
 */
#define SUBROSA_WAITS_NO_KEY 3

/**
 * State of a waiting event: the message goes over a link only, and none is up.
 */
#define SUBROSA_WAITS_NO_LINK 4

/**
 * State of a waiting event: the message goes over a link only, and the friend is not direct any more. It waits until that
 * is turned on again, it is cancelled, or its time to live ends.
 */
#define SUBROSA_WAITS_NOT_DIRECT 5

/**
 * State of a waiting event: the message goes by envelope only, or its friend is not direct, and there is neither a peer
 * nor an archive.
 */
#define SUBROSA_WAITS_NO_PEERS 6

/**
 * State of a delivery: the friend's device has it.
 */
#define SUBROSA_DELIVERY_DELIVERED 1

/**
 * State of a delivery: the friend refused it and it was skipped, or the friend was removed.
 */
#define SUBROSA_DELIVERY_REFUSED 2

/**
 * State of a delivery: its time to live ran out.
 */
#define SUBROSA_DELIVERY_EXPIRED 3

/**
 * State of a delivery: it was cancelled.
 */
#define SUBROSA_DELIVERY_CANCELLED 4

/**
 * State of a friend event: both sides said so, friends.
 */
#define SUBROSA_FRIEND_ADDED 1

/**
 * State of a friend event: we removed the friend.
 */
#define SUBROSA_FRIEND_REMOVED 2

/**
 * State of a friend event: the other side declined.
 */
#define SUBROSA_FRIEND_DECLINED 3

/**
 * State of a friend event: a friendship that was there got new keys.
 */
#define SUBROSA_FRIEND_RENEWED 4

/**
 * State of a friend event: the friend's store is an older copy of itself; what came after the copy may be lost there.
 */
#define SUBROSA_FRIEND_ROLLED_BACK 5

/**
 * State of a friend event: two copies of the friend's store are in use; one that another had replaced was sent away.
 */
#define SUBROSA_FRIEND_CLONED 6

/**
 * State of a friend event: our request ended without an answer.
 */
#define SUBROSA_FRIEND_NO_ANSWER 7

/**
 * State of a friend event: the friend uses another device, and proved to be the same person. Renewed follows.
 */
#define SUBROSA_FRIEND_NEW_DEVICE 8

/**
 * State of an own_store event: this store is an older copy, restored or the second of two. It goes on sending.
 */
#define SUBROSA_OWN_STORE_ROLLED_BACK 1

/**
 * State of an own_store event: the other copy was met after this one, so both are in use. This one sends nothing until
 * subrosa_store_decide().
 */
#define SUBROSA_OWN_STORE_CLONED 2

/**
 * State of a link event: the link went down.
 */
#define SUBROSA_LINK_LOST 0

/**
 * State of a link event: the link came up.
 */
#define SUBROSA_LINK_CONNECTED 1

/**
 * What is full: messages that were not acked; friends wait.
 */
#define SUBROSA_FULL_INBOX 1

/**
 * What is full: the disk; nothing can be written.
 */
#define SUBROSA_FULL_DISK 2

/**
 * What is full: the pool of envelopes; those with the least proof of work leave.
 */
#define SUBROSA_FULL_POOL 3

/**
 * How a message came: over a link.
 */
#define SUBROSA_WAY_LINK 1

/**
 * How a message came: in an envelope.
 */
#define SUBROSA_WAY_ENVELOPE 2

/**
 * Log nothing.
 */
#define SUBROSA_LOG_OFF 0

/**
 * Something failed that should not.
 */
#define SUBROSA_LOG_ERROR 1

/**
 * Something is odd.
 */
#define SUBROSA_LOG_WARN 2

/**
 * What an operator wants to know. No data of users.
 */
#define SUBROSA_LOG_INFO 3

/**
 * What a developer wants to know; may name persons and addresses.
 */
#define SUBROSA_LOG_DEBUG 4

/**
 * Everything but secrets, which are never logged.
 */
#define SUBROSA_LOG_TRACE 5

/**
 * How a node is set up. Make it, set what should not be as the preset has it, open as many nodes with it as you like
 * (one at a time: each store belongs to one node), free it. Any thread may use it.
 */
typedef struct subrosa_config subrosa_config;

/**
 * Something that happened. Never changes; any thread may look at it. What its getters point to is valid until
 * subrosa_event_free().
 */
typedef struct subrosa_event subrosa_event;

/**
 * A friend or friend-to-be, as things stood when it was asked for. Never changes; any thread may look at it.
 */
typedef struct subrosa_friend subrosa_friend;

/**
 * A page of friends. Never changes; any thread may look at it.
 */
typedef struct subrosa_friends subrosa_friends;

/**
 * The secret key of a person. Never changes; any thread may use it; subrosa_identity_free() wipes it.
 */
typedef struct subrosa_identity subrosa_identity;

/**
 * An invite of ours, as it stood when it was made or listed. Never changes; any thread may use it; freeing it wipes
 * its text.
 */
typedef struct subrosa_invite subrosa_invite;

/**
 * A list of invites. Never changes; any thread may use it; subrosa_invites_free() wipes the texts.
 */
typedef struct subrosa_invites subrosa_invites;

/**
 * A message that is kept, as it stood when it was asked for. Never changes; any thread may look at it.
 */
typedef struct subrosa_message subrosa_message;

/**
 * A page of messages. Never changes; any thread may look at it.
 */
typedef struct subrosa_messages subrosa_messages;

/**
 * One identity with one store. Any number of threads may call it at once; subrosa_node_close() ends those calls.
 */
typedef struct subrosa_node subrosa_node;

/**
 * A peer or an archive, as it stood when it was listed. Never changes; any thread may look at it.
 */
typedef struct subrosa_peer subrosa_peer;

/**
 * A page of peers, or of archives. Never changes; any thread may look at it.
 */
typedef struct subrosa_peers subrosa_peers;

/**
 * A request that waits for an answer, as it stood when it was listed. Never changes; any thread may look at it.
 */
typedef struct subrosa_request subrosa_request;

/**
 * A page of requests. Never changes; any thread may look at it.
 */
typedef struct subrosa_requests subrosa_requests;

/**
 * How a node stood at one moment. Never changes; any thread may look at it.
 */
typedef struct subrosa_snapshot subrosa_snapshot;

/**
 * A subscription, as it stood when it was listed. Never changes; any thread may look at it.
 */
typedef struct subrosa_subscription subrosa_subscription;

/**
 * A page of subscriptions. Never changes; any thread may look at it.
 */
typedef struct subrosa_subscriptions subrosa_subscriptions;

/**
 * What a call ended with: SUBROSA_OK, or one of the other SUBROSA_ codes below. New codes may come in later
 * versions; no number is ever used again for something else.
 */
typedef int32_t subrosa_status;

/**
 * A person: the public key, compressed (33 bytes). Copy and compare it as bytes.
 */
typedef struct subrosa_person {
    /**
     * The bytes.
     */
    uint8_t bytes[33];
} subrosa_person;

/**
 * Bytes that the library owns, valid as long as the function says that gave them. No zero byte follows them.
 */
typedef struct subrosa_bytes {
    /**
     * The first byte; never NULL, but not to be read when `len` is 0.
     */
    const uint8_t *ptr;
    /**
     * How many.
     */
    size_t len;
} subrosa_bytes;

/**
 * How an archive keeps envelopes. Start from SUBROSA_KEEP_OPTIONS_INIT: all zeros but for the size are the defaults.
 */
typedef struct subrosa_keep_options {
    /**
     * sizeof(subrosa_keep_options), which tells the library what your header knew.
     */
    size_t size;
    /**
     * Most bytes of envelopes; 0 is 4 GiB.
     */
    uint64_t most_bytes;
    /**
     * The longest that an envelope is kept, whatever its time to live, in milliseconds; 0 is 30 days.
     */
    uint64_t most_age_ms;
    /**
     * The least proof of work it keeps without a grant; 0 is 0.002.
     */
    double least_pow;
    /**
     * Tokens that you give to people, of 1 to 64 bytes each: with one of them an envelope is kept whatever its proof
     * of work; or NULL.
     */
    const struct subrosa_bytes *grants;
    /**
     * How many.
     */
    size_t grants_count;
    /**
     * What leaves first when it is full: a SUBROSA_LEAVES_ number.
     */
    int32_t leaves;
    /**
     * Must be 0.
     */
    int32_t reserved;
} subrosa_keep_options;

/**
 * Called when an event waits: signal the thread that pulls, and return at once. It comes on a thread of the library
 * or of whoever calls it, never twice at the same time, and must not call the library, throw, or unwind.
 */
typedef void (*subrosa_wakeup)(void *userdata);

/**
 * Text that the library owns, in UTF-8, valid as long as the function says that gave it. A zero byte follows it, so
 * that it can be used as a C string; text that other people wrote may hold zero bytes of its own, and a C string
 * ends there.
 */
typedef struct subrosa_text {
    /**
     * The first character; never NULL.
     */
    const char *ptr;
    /**
     * How many bytes, without the zero that follows.
     */
    size_t len;
} subrosa_text;

/**
 * How an invite is made. Start from SUBROSA_INVITE_OPTIONS_INIT: all zeros but for the size are the defaults.
 */
typedef struct subrosa_invite_options {
    /**
     * sizeof(subrosa_invite_options), which tells the library what your header knew.
     */
    size_t size;
    /**
     * How long it can be redeemed, in milliseconds, at most 30 days; 0 is a day.
     */
    uint64_t expires_in_ms;
    /**
     * A note of yours, at most 256 bytes, given back with the request and the events that come of it; or NULL.
     */
    const char *label;
    /**
     * Addresses written into it, at most 3, as "192.0.2.1:4000"; NULL is those we have, and not NULL with
     * `hints_count` 0 is none.
     */
    const char *const *hints;
    /**
     * How many.
     */
    size_t hints_count;
    /**
     * 1: whoever redeems it first is a friend at once. 0: you are asked by a request event.
     */
    int32_t auto_accept;
    /**
     * Must be 0.
     */
    int32_t reserved;
} subrosa_invite_options;

/**
 * An invite: 16 bytes that name it and give nothing away.
 */
typedef struct subrosa_invite_id {
    /**
     * The bytes.
     */
    uint8_t bytes[16];
} subrosa_invite_id;

/**
 * How an invite is redeemed. Start from SUBROSA_REDEEM_OPTIONS_INIT: all zeros but for the size are the defaults.
 */
typedef struct subrosa_redeem_options {
    /**
     * sizeof(subrosa_redeem_options), which tells the library what your header knew.
     */
    size_t size;
    /**
     * What you say to whoever made the invite, at most 256 bytes; or NULL.
     */
    const char *greeting;
    /**
     * Addresses to try besides those in the invite; or NULL.
     */
    const char *const *addresses;
    /**
     * How many.
     */
    size_t addresses_count;
} subrosa_redeem_options;

/**
 * A message: 16 bytes, the same for the sender and the receiver. Yours are random, or what you chose when sending.
 */
typedef struct subrosa_message_id {
    /**
     * The bytes.
     */
    uint8_t bytes[16];
} subrosa_message_id;

/**
 * How a message is sent. Start from SUBROSA_SEND_OPTIONS_INIT: all zeros but for the size are the defaults.
 */
typedef struct subrosa_send_options {
    /**
     * sizeof(subrosa_send_options), which tells the library what your header knew.
     */
    size_t size;
    /**
     * The id of the message; NULL is a random one. With an id of your own, sending the same again after a crash is
     * still one message; SUBROSA_ALREADY_EXISTS says that the id belongs to another.
     */
    const struct subrosa_message_id *id;
    /**
     * The message it answers; or NULL.
     */
    const struct subrosa_message_id *reply_to;
    /**
     * What the body is, as you and the friend's program agree: a MIME type, say; at most 128 bytes; or NULL.
     */
    const char *content_type;
    /**
     * After so many milliseconds without delivery the message ends as expired; 0 is never.
     */
    uint64_t ttl_ms;
    /**
     * Messages of one lane arrive in the order they were sent; those of different lanes do not wait for each other.
     */
    uint32_t lane;
    /**
     * By which ways it may go: a SUBROSA_SEND_WAY_ number. What goes by one way only waits for that way, and what follows
     * on its lane waits behind it.
     */
    int32_t way;
} subrosa_send_options;

/**
 * A topic of envelopes: 4 bytes that everybody sees, and by which those who can open an envelope find it.
 */
typedef struct subrosa_topic {
    /**
     * The bytes.
     */
    uint8_t bytes[4];
} subrosa_topic;

/**
 * What and how to publish. Start from SUBROSA_PUBLISH_OPTIONS_INIT, and set exactly one of `person`, `key` and
 * `password`; all else may stay zero.
 */
typedef struct subrosa_publish_options {
    /**
     * sizeof(subrosa_publish_options), which tells the library what your header knew.
     */
    size_t size;
    /**
     * Who can open it: this person, whose identity key it is sealed to; or NULL.
     */
    const struct subrosa_person *person;
    /**
     * Who can open it: whoever has this key of 32 bytes; or NULL.
     */
    const uint8_t *key;
    /**
     * How many bytes `key` has: 32, or 0 with NULL.
     */
    size_t key_len;
    /**
     * Who can open it: whoever knows this password, which protects as well as it is hard to guess; or NULL.
     */
    const char *password;
    /**
     * How long it lives, in milliseconds, up to 30 days; 0 is an hour. Its proof of work grows with this.
     */
    uint64_t ttl_ms;
    /**
     * How long the search for its proof of work may take, in milliseconds; 0 is five minutes, and SUBROSA_FOREVER as
     * long as it needs.
     */
    uint64_t pow_limit_ms;
    /**
     * The proof of work it shall show; 0 is the least that the config says.
     */
    double pow;
    /**
     * Where those who can open it look for it. Everybody sees it.
     */
    struct subrosa_topic topic;
    /**
     * 1: your identity signs it, and whoever opens it can show that to others. 0: nobody knows who wrote it.
     */
    int32_t sign;
} subrosa_publish_options;

/**
 * A publication: 16 random bytes that name it in its event.
 */
typedef struct subrosa_publication_id {
    /**
     * The bytes.
     */
    uint8_t bytes[16];
} subrosa_publication_id;

/**
 * What to subscribe to. Start from SUBROSA_SUBSCRIBE_OPTIONS_INIT, and set at most one of `identity`, `key` and
 * `password`: with none of them it is the identity of the node.
 */
typedef struct subrosa_subscribe_options {
    /**
     * sizeof(subrosa_subscribe_options), which tells the library what your header knew.
     */
    size_t size;
    /**
     * Opens what is sealed to this identity; copied; or NULL.
     */
    const struct subrosa_identity *identity;
    /**
     * Opens what is sealed under this key of 32 bytes; or NULL.
     */
    const uint8_t *key;
    /**
     * How many bytes `key` has: 32, or 0 with NULL.
     */
    size_t key_len;
    /**
     * Opens what is sealed under this password, of which only the key made from it is kept; or NULL.
     */
    const char *password;
    /**
     * Only these topics, at most 1024. NULL is every topic, which a key or password does not allow, and which costs an
     * attempt per envelope of the whole network.
     */
    const struct subrosa_topic *topics;
    /**
     * How many.
     */
    size_t topics_count;
    /**
     * Only what this person signed; NULL is whoever.
     */
    const struct subrosa_person *sender;
    /**
     * A note of yours, at most 256 bytes, given back in lists; or NULL.
     */
    const char *label;
    /**
     * Only what was sent since, in milliseconds since 1970 UTC, give or take half a minute: senders date back and clocks
     * differ. Archives are asked for what came in between. 0 is from now on, 1 is all there is.
     */
    uint64_t since;
    /**
     * Only what shows at least so much proof of work.
     */
    double least_pow;
} subrosa_subscribe_options;

/**
 * A subscription: 16 random bytes that name it in its events.
 */
typedef struct subrosa_subscription_id {
    /**
     * The bytes.
     */
    uint8_t bytes[16];
} subrosa_subscription_id;

/**
 * The id of an envelope: the keccak-256 hash of its bytes, the same for everybody.
 */
typedef struct subrosa_envelope_hash {
    /**
     * The bytes.
     */
    uint8_t bytes[32];
} subrosa_envelope_hash;

/**
 * One line of the log, without a line end: `level` is a SUBROSA_LOG_ number, `target` names the part of the library.
 * Both texts are valid during the call. It comes on any thread, never twice at the same time, and must not call the
 * library, throw, or unwind.
 */
typedef void (*subrosa_log_callback)(void *userdata, int32_t level, const char *target, const char *text);

/**
 * It worked.
 */
#define SUBROSA_OK 0

/**
 * A value passed in is not acceptable.
 */
#define SUBROSA_INVALID_ARGUMENT 1

/**
 * A pointer is NULL that must not be.
 */
#define SUBROSA_NULL_OR_CLOSED 2

/**
 * The node is paused or closed, or the operation does not fit its state.
 */
#define SUBROSA_WRONG_STATE 3

/**
 * The time given ran out.
 */
#define SUBROSA_TIMED_OUT 4

/**
 * There is no such person, message, invite or request; or this event does not carry what was asked for.
 */
#define SUBROSA_NOT_FOUND 5

/**
 * It is there already.
 */
#define SUBROSA_ALREADY_EXISTS 6

/**
 * The person is not a friend.
 */
#define SUBROSA_NOT_A_FRIEND 7

/**
 * Larger than the limit, which the text of the error names.
 */
#define SUBROSA_TOO_LARGE 8

/**
 * A queue is at its limit; nothing was taken.
 */
#define SUBROSA_QUEUE_FULL 9

/**
 * The store key or passphrase does not open this store.
 */
#define SUBROSA_WRONG_KEY 10

/**
 * Data is damaged: truncated, changed, or never what it claims to be.
 */
#define SUBROSA_DAMAGED 11

/**
 * The file is not a store of Subrosa, or was written by a newer version.
 */
#define SUBROSA_FOREIGN_OR_NEWER 12

/**
 * Another process, or another node of this one, has the store open.
 */
#define SUBROSA_STORE_IN_USE 13

/**
 * No room left on the device.
 */
#define SUBROSA_DISK_FULL 14

/**
 * Reading or writing failed.
 */
#define SUBROSA_IO 15

/**
 * The file or the device is read-only.
 */
#define SUBROSA_READ_ONLY 16

/**
 * Its time is over.
 */
#define SUBROSA_EXPIRED 17

/**
 * It was used already, or taken back.
 */
#define SUBROSA_USED_OR_REVOKED 18

/**
 * A policy of the host forbids it.
 */
#define SUBROSA_BLOCKED 19

/**
 * The proof of work would cost more than allowed.
 */
#define SUBROSA_POW_TOO_DEAR 20

/**
 * No address and no archive: there is no way to reach the person.
 */
#define SUBROSA_NO_WAY 21

/**
 * The network failed.
 */
#define SUBROSA_NETWORK 22

/**
 * The host cancelled it.
 */
#define SUBROSA_CANCELLED 23

/**
 * This build, version or platform cannot do it.
 */
#define SUBROSA_NOT_SUPPORTED 24

/**
 * Called from within a callback, which must not call back in.
 */
#define SUBROSA_FROM_CALLBACK 25

/**
 * A defect of the library, caught before it could harm your process. Please report it; close the node it happened
 * on and open it again.
 */
#define SUBROSA_INTERNAL 99

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * A short lower-case name for a status code ("ok", "wrong_key"), for logs. Never NULL: "unknown" for a number this
 * version does not know. The text lives as long as the library. May be called from callbacks.
 */
const char *subrosa_status_name(subrosa_status status);

/**
 * What went wrong in the last call that failed on this thread, and what to do about it: one sentence for people, in
 * English, without secrets. It may change between versions; decide by the status code.
 *
 * Never NULL; empty when no call failed on this thread. The text is valid until the next call of the library on this
 * thread that fails: copy it if you keep it. A call that succeeds leaves it alone. May be called from callbacks.
 */
const char *subrosa_last_error(void);

/**
 * The version of the library that is loaded, as text: "0.1.0". It lives as long as the library. May be called from
 * callbacks.
 */
const char *subrosa_version(void);

/**
 * The version of the library that is loaded, as SUBROSA_VERSION_NUMBER was in its header. May be called from
 * callbacks.
 */
uint32_t subrosa_version_number(void);

/**
 * The binary interface of the library that is loaded: equal to SUBROSA_ABI_VERSION, or your program must not use it.
 * May be called from callbacks.
 */
uint32_t subrosa_abi_version(void);

/**
 * Makes a new identity from the randomness of the system. Only needed if you want to hold the secret yourself: a node
 * whose config has no identity makes one when it makes its store, and keeps it there.
 *
 * Free `*identity` with subrosa_identity_free().
 */
subrosa_status subrosa_identity_generate(struct subrosa_identity **identity);

/**
 * The identity with this secret: `len` must be 32, and not every 32 bytes are a key (SUBROSA_INVALID_ARGUMENT
 * otherwise). Your copy of the secret is yours to wipe.
 *
 * Free `*identity` with subrosa_identity_free().
 */
subrosa_status subrosa_identity_from_secret(const uint8_t *secret, size_t len, struct subrosa_identity **identity);

/**
 * Writes the 32 bytes of the secret into your buffer `secret`, which has room for `len`, at least 32. Whoever has
 * them is this person: keep them in the system's key store, and wipe the buffer.
 */
subrosa_status subrosa_identity_secret(const struct subrosa_identity *identity, uint8_t *secret, size_t len);

/**
 * The person of this identity: its public key.
 */
subrosa_status subrosa_identity_person(const struct subrosa_identity *identity, struct subrosa_person *person);

/**
 * Frees and wipes it. NULL is fine. May be called from callbacks.
 */
void subrosa_identity_free(struct subrosa_identity *identity);

/**
 * Writes the text form of `person` ("subrosa1...", with a zero at its end) into your buffer `text`, which has room
 * for `size` bytes: SUBROSA_PERSON_TEXT_SIZE is enough.
 */
subrosa_status subrosa_person_text(const struct subrosa_person *person, char *text, size_t size);

/**
 * Reads the text form of a person, in lower or upper case. SUBROSA_INVALID_ARGUMENT or SUBROSA_DAMAGED when it is
 * something else, or has a slip.
 */
subrosa_status subrosa_person_parse(const char *text, struct subrosa_person *person);

/**
 * A config with the defaults of `preset` (a SUBROSA_PRESET_ number) for the store at `store`, a path in UTF-8: a file
 * that is made when there is none. Beside it live files with the same name and an ending of their own. A key must be
 * set before a node is opened.
 *
 * Free `*config` with subrosa_config_free().
 */
subrosa_status subrosa_config_new(int32_t preset, const char *store, struct subrosa_config **config);

/**
 * The key of the store: `len` must be 32, random, from the system's key store. Opening is immediate.
 */
subrosa_status subrosa_config_set_key(const struct subrosa_config *config, const uint8_t *key, size_t len);

/**
 * The passphrase of the store, not empty. Opening takes about a second and some 64 MiB of memory, so that guessing is
 * dear.
 */
subrosa_status subrosa_config_set_passphrase(const struct subrosa_config *config, const char *passphrase);

/**
 * The identity of a new store; copied. Without it a new store gets a fresh one. A store that exists keeps its own,
 * and opening fails if this is another. NULL takes the choice back.
 */
subrosa_status subrosa_config_set_identity(const struct subrosa_config *config,
                                           const struct subrosa_identity *identity);

/**
 * The addresses to listen on and dial from, instead of those of the preset: `0.0.0.0:4000`, `[::]:4000`; port 0 is
 * any free one. With `count` 0 the node stays off the network.
 */
subrosa_status subrosa_config_set_bind(const struct subrosa_config *config,
                                       const char *const *addresses,
                                       size_t count);

/**
 * The addresses that friends are told instead of those of the network interfaces, for a machine behind a port
 * forwarding. With `count` 0 those of the interfaces again.
 */
subrosa_status subrosa_config_set_advertise(const struct subrosa_config *config,
                                            const char *const *addresses,
                                            size_t count);

/**
 * Sets one of the SUBROSA_CONFIG_ numbers. SUBROSA_NOT_SUPPORTED for a number this version does not know,
 * SUBROSA_INVALID_ARGUMENT for a value out of its range.
 */
subrosa_status subrosa_config_set_number(const struct subrosa_config *config, int32_t number, uint64_t value);

/**
 * Frees it and wipes its secrets. NULL is fine. May be called from callbacks.
 */
void subrosa_config_free(struct subrosa_config *config);

/**
 * The addresses of the node port, which is open to strangers: `0.0.0.0:30400`. A port of its own, never the one that
 * friends use. With `count` 0, the default, peers are dialled from any free port and nobody can dial us.
 */
subrosa_status subrosa_config_set_listen(const struct subrosa_config *config,
                                         const char *const *addresses,
                                         size_t count);

/**
 * The nodes to stay connected with: "host:port", or "subrosanode1...@host:port" to take nobody else there; at most 64.
 * A preset has none, and then Whisper is off until subrosa_peer_add() or subrosa_archive_add(), or a friend names some.
 */
subrosa_status subrosa_config_set_peers(const struct subrosa_config *config,
                                        const char *const *addresses,
                                        size_t count);

/**
 * The addresses of our own node port as friends who are direct are told them, and as an archive where it is one; at most
 * 64. With `count` 0, the default, nobody is told.
 */
subrosa_status subrosa_config_set_node_advertise(const struct subrosa_config *config,
                                                 const char *const *addresses,
                                                 size_t count);

/**
 * Adds an archive to ask for what came while we were away: an address as of subrosa_config_set_peers(), and the grant
 * that its operator gave you, at most 64 bytes, or NULL with `len` 0. At most 64 archives.
 */
subrosa_status subrosa_config_add_archive(const struct subrosa_config *config,
                                          const char *address,
                                          const uint8_t *grant,
                                          size_t len);

/**
 * Makes the node an archive, which keeps envelopes for others in the file at `path`, made if there is none. Envelopes
 * are public, and not sealed there. `options` may be NULL. A NULL path takes the choice back.
 */
subrosa_status subrosa_config_keep_archive(const struct subrosa_config *config,
                                           const char *path,
                                           const struct subrosa_keep_options *options);

/**
 * The least proof of work that is taken from peers, and that our own envelopes get unless more is asked for. Archives
 * ask for 0.002, which is the default.
 */
subrosa_status subrosa_config_set_least_pow(const struct subrosa_config *config, double pow);

/**
 * Opens the store of `config`, making it if there is none, and starts a node on it. The config can be changed or
 * freed afterwards.
 *
 * SUBROSA_WRONG_KEY, SUBROSA_STORE_IN_USE, SUBROSA_FOREIGN_OR_NEWER, SUBROSA_DAMAGED, SUBROSA_DISK_FULL,
 * SUBROSA_READ_ONLY and SUBROSA_IO each say what is wrong with the store, and nothing is changed then;
 * SUBROSA_NETWORK that an address cannot be bound; SUBROSA_ALREADY_EXISTS that the store has another identity than the
 * config; SUBROSA_INVALID_ARGUMENT that the config has no key.
 *
 * End `*node` with subrosa_node_close() and subrosa_node_free().
 */
subrosa_status subrosa_node_open(const struct subrosa_config *config,
                                 struct subrosa_node **node);

/**
 * Who this node is.
 */
subrosa_status subrosa_node_identity(const struct subrosa_node *node, struct subrosa_person *person);

/**
 * The identity of this node, with its secret, for a backup of yours: whoever has it is you.
 *
 * Free `*identity` with subrosa_identity_free().
 */
subrosa_status subrosa_node_identity_export(const struct subrosa_node *node, struct subrosa_identity **identity);

/**
 * Waits up to `timeout_ms` milliseconds for the next event: 0 only looks, SUBROSA_FOREVER waits without end.
 * SUBROSA_TIMED_OUT when there was none; SUBROSA_WRONG_STATE once the node is closed, also for a call that waits at
 * that moment, so that a loop ends.
 *
 * An event is given once. One that is durable (subrosa_event_id() is not 0) comes again when the store is opened the
 * next time, or the node resumed, until it is acked. Several threads may pull; each event goes to one of them.
 *
 * Free `*event` with subrosa_event_free().
 */
subrosa_status subrosa_node_next_event(const struct subrosa_node *node,
                                       uint64_t timeout_ms,
                                       struct subrosa_event **event);

/**
 * Says that the durable event with this id is dealt with: it does not come again, and what it held may be forgotten.
 * Returns when that is on disk. Acking twice is fine, in any order, from any thread, and so is 0, the id of events
 * that are not durable.
 */
subrosa_status subrosa_node_ack(const struct subrosa_node *node, int64_t event);

/**
 * Has `callback` called when an event waits, for hosts with an event loop of their own; one call may stand for many
 * events, so pull until SUBROSA_TIMED_OUT. It is called once right away, if only to be sure that nothing is missed.
 * NULL sets none. See "Waking an event loop" on the first page.
 *
 * When this returns, the callback that was set before does not run any more, and will not: what its `userdata` points
 * to may be freed. For that it waits for a call in progress, so do not hold a lock here that the callback takes.
 */
subrosa_status subrosa_node_set_wakeup(const struct subrosa_node *node, subrosa_wakeup callback, void *userdata);

/**
 * Closes sockets and store, so that the system may suspend the process; what waits stays on disk. Returns when all is
 * written. Operations fail with SUBROSA_WRONG_STATE until subrosa_node_resume(). Pausing twice is fine.
 */
subrosa_status subrosa_node_pause(const struct subrosa_node *node);

/**
 * Opens what subrosa_node_pause() closed and goes on; events that were not acked come again. Resuming a node that runs
 * is fine.
 */
subrosa_status subrosa_node_resume(const struct subrosa_node *node);

/**
 * Tells the node that the network changed (another Wi-Fi, mobile data, a VPN): it binds its sockets anew, and dials
 * friends at once. Programs on phones must call this, since the system tells only them. SUBROSA_NETWORK when no
 * address can be bound at the moment; the node goes on trying.
 */
subrosa_status subrosa_node_network_changed(const struct subrosa_node *node);

/**
 * Ends the node: writes what is to be written, closes sockets and store, and ends the calls that wait in
 * subrosa_node_next_event() with SUBROSA_WRONG_STATE, as every later call does. When it returns, the wake-up callback
 * does not run any more, and will not. The handle stays valid until subrosa_node_free(). Closing twice is fine.
 */
subrosa_status subrosa_node_close(const struct subrosa_node *node);

/**
 * Frees the handle; closes the node first if that was not done, but then nobody learns of an error. NULL is fine. Does
 * nothing within a callback.
 */
void subrosa_node_free(struct subrosa_node *node);

/**
 * How the node stands. Works while it is paused, too.
 *
 * Free `*snapshot` with subrosa_snapshot_free().
 */
subrosa_status subrosa_node_status(const struct subrosa_node *node, struct subrosa_snapshot **snapshot);

/**
 * One of the SUBROSA_SNAPSHOT_ numbers. SUBROSA_NOT_SUPPORTED for one this version does not know.
 */
subrosa_status subrosa_snapshot_number(const struct subrosa_snapshot *snapshot, int32_t number, uint64_t *value);

/**
 * The address at `index`, from 0, of those that are bound ("192.0.2.1:4000"). SUBROSA_NOT_FOUND beyond the last.
 * Valid until subrosa_snapshot_free().
 */
subrosa_status subrosa_snapshot_address(const struct subrosa_snapshot *snapshot,
                                        size_t index,
                                        struct subrosa_text *address);

/**
 * The node port at `index`, from 0, of those that are bound for peers ("192.0.2.1:30400"). SUBROSA_NOT_FOUND beyond the
 * last, and while Whisper is off. Valid until subrosa_snapshot_free().
 */
subrosa_status subrosa_snapshot_node_address(const struct subrosa_snapshot *snapshot,
                                             size_t index,
                                             struct subrosa_text *address);

/**
 * The name of the key at `index`, from 0, of those that the node ports show ("subrosanode1..."), for addresses that
 * take nobody else. SUBROSA_NOT_FOUND beyond the last. Valid until subrosa_snapshot_free().
 */
subrosa_status subrosa_snapshot_node_id(const struct subrosa_snapshot *snapshot,
                                        size_t index,
                                        struct subrosa_text *id);

/**
 * Frees the snapshot and all its getters gave. NULL is fine. May be called from callbacks.
 */
void subrosa_snapshot_free(struct subrosa_snapshot *snapshot);

/**
 * Gives the store another key: `len` must be 32, random, from the system's key store. From now on only that opens it;
 * a key or passphrase it had before does not any more. What is in it stays.
 */
subrosa_status subrosa_store_change_key(const struct subrosa_node *node, const uint8_t *key, size_t len);

/**
 * Gives the store a passphrase, not empty: as subrosa_store_change_key(), and takes as long as opening with one.
 */
subrosa_status subrosa_store_change_passphrase(const struct subrosa_node *node, const char *passphrase);

/**
 * Decides about a store of which friends met another copy (SUBROSA_EVENT_OWN_STORE): SUBROSA_STORE_GO_ON or
 * SUBROSA_STORE_STAND_DOWN. SUBROSA_WRONG_STATE when there is nothing to decide.
 */
subrosa_status subrosa_store_decide(const struct subrosa_node *node, int32_t decision);

/**
 * Closes the node and removes its store for good: the keys in it are overwritten, and its files deleted. Friends are
 * not told. The handle stays valid until subrosa_node_free(), as after subrosa_node_close().
 */
subrosa_status subrosa_store_wipe(const struct subrosa_node *node);

/**
 * Removes the store at `store`, a path in UTF-8, for good, as subrosa_store_wipe() does, without opening it: no key is
 * needed, so that who has forgotten the passphrase can do it as well. Whatever is in the file is lost, a store of this
 * library or not. SUBROSA_NOT_FOUND when there is none, SUBROSA_STORE_IN_USE while a node has it open.
 */
subrosa_status subrosa_store_wipe_closed(const char *store);

/**
 * Makes an invite: a text that you hand to one person, who becomes a friend by redeeming it. It can be used once.
 * `options` may be NULL.
 *
 * Free `*invite` with subrosa_invite_free(); the invite itself stays open.
 */
subrosa_status subrosa_invite_create(const struct subrosa_node *node,
                                     const struct subrosa_invite_options *options,
                                     struct subrosa_invite **invite);

/**
 * The invites of this node, the oldest first: those that are open, and what is remembered of the others; never more
 * than 256 in all.
 *
 * Free `*invites` with subrosa_invites_free(); the invites themselves stay as they are.
 */
subrosa_status subrosa_invite_list(const struct subrosa_node *node, struct subrosa_invites **invites);

/**
 * How many invites are in the list; 0 for NULL. May be called from callbacks.
 */
size_t subrosa_invites_len(const struct subrosa_invites *invites);

/**
 * The invite at `index`, from 0; NULL beyond the end. It belongs to the list and ends with it. May be called from
 * callbacks.
 */
const struct subrosa_invite *subrosa_invites_at(const struct subrosa_invites *invites, size_t index);

/**
 * Frees the list and the invites in it, and wipes their texts. NULL is fine. May be called from callbacks.
 */
void subrosa_invites_free(struct subrosa_invites *invites);

/**
 * The text to hand over, "subrosa:...". Whoever has it first can redeem it. Valid as long as the invite's handle.
 */
subrosa_status subrosa_invite_text(const struct subrosa_invite *invite, struct subrosa_text *text);

/**
 * The name of the invite, as events and subrosa_invite_revoke() know it.
 */
subrosa_status subrosa_invite_get_id(const struct subrosa_invite *invite, struct subrosa_invite_id *id);

/**
 * Your note, if there is one. Valid as long as the invite's handle.
 */
subrosa_status subrosa_invite_label(const struct subrosa_invite *invite, struct subrosa_text *label);

/**
 * When it was made, in milliseconds since 1970 UTC.
 */
subrosa_status subrosa_invite_created(const struct subrosa_invite *invite, uint64_t *time);

/**
 * When it ends, in milliseconds since 1970 UTC.
 */
subrosa_status subrosa_invite_expires(const struct subrosa_invite *invite, uint64_t *time);

/**
 * Whether the first to redeem it is a friend at once: 1 or 0.
 */
subrosa_status subrosa_invite_auto_accept(const struct subrosa_invite *invite, int32_t *auto_accept);

/**
 * What became of it: a SUBROSA_INVITE_ number, or -1 for a state this version of the interface has no number for.
 */
subrosa_status subrosa_invite_state(const struct subrosa_invite *invite, int32_t *state);

/**
 * Who redeemed it, if somebody did.
 */
subrosa_status subrosa_invite_person(const struct subrosa_invite *invite, struct subrosa_person *person);

/**
 * Frees the handle that subrosa_invite_create() gave and wipes the text; those of a list end with the list. NULL is
 * fine. May be called from callbacks.
 */
void subrosa_invite_free(struct subrosa_invite *invite);

/**
 * Takes an invite of ours back: from now on nobody can redeem it. SUBROSA_NOT_FOUND when there is no such invite,
 * SUBROSA_USED_OR_REVOKED when it has ended already.
 */
subrosa_status subrosa_invite_revoke(const struct subrosa_node *node, const struct subrosa_invite_id *id);

/**
 * Redeems the invite that somebody handed over; white space around it does not matter. `*person` is who made it:
 * messages may be sent at once, and go out when both are friends, which an event says. `options` may be NULL.
 *
 * SUBROSA_INVALID_ARGUMENT for a text that is no invite, SUBROSA_DAMAGED when characters are wrong or missing,
 * SUBROSA_EXPIRED, SUBROSA_FOREIGN_OR_NEWER when a newer version made it.
 */
subrosa_status subrosa_invite_redeem(const struct subrosa_node *node,
                                     const char *text,
                                     const struct subrosa_redeem_options *options,
                                     struct subrosa_person *person);

/**
 * Asks a person of whom only the identity is known to be a friend, with a greeting of at most 256 bytes, or NULL. Goes
 * through Whisper, again and again for 14 days, also after a restart; ends in a friend event: added, or no answer.
 * Messages may be sent at once, and wait. If they have asked us already, this accepts it.
 *
 * SUBROSA_NO_WAY without a peer or archive, SUBROSA_ALREADY_EXISTS while a request to them is out, SUBROSA_TOO_LARGE,
 * SUBROSA_BLOCKED if we blocked them.
 */
subrosa_status subrosa_request_send(const struct subrosa_node *node,
                                    const struct subrosa_person *person,
                                    const char *greeting);

/**
 * The requests that wait, the oldest first: at most `limit` of them, and never more than 1000, after that of `after`;
 * NULL is from the start.
 *
 * Free `*requests` with subrosa_requests_free().
 */
subrosa_status subrosa_request_list(const struct subrosa_node *node,
                                    const struct subrosa_person *after,
                                    size_t limit,
                                    struct subrosa_requests **requests);

/**
 * How many requests are in the list; 0 for NULL. May be called from callbacks.
 */
size_t subrosa_requests_len(const struct subrosa_requests *requests);

/**
 * The request at `index`, from 0; NULL beyond the end. It belongs to the list and ends with it. May be called from
 * callbacks.
 */
const struct subrosa_request *subrosa_requests_at(const struct subrosa_requests *requests, size_t index);

/**
 * Frees the list, the requests in it, and all their getters gave. NULL is fine. May be called from callbacks.
 */
void subrosa_requests_free(struct subrosa_requests *requests);

/**
 * Who asks.
 */
subrosa_status subrosa_request_person(const struct subrosa_request *request, struct subrosa_person *person);

/**
 * What they say; may be empty. Valid until subrosa_requests_free().
 */
subrosa_status subrosa_request_greeting(const struct subrosa_request *request, struct subrosa_text *greeting);

/**
 * The label of the invite they redeemed, if it has one. Valid until subrosa_requests_free().
 */
subrosa_status subrosa_request_label(const struct subrosa_request *request, struct subrosa_text *label);

/**
 * When it came, in milliseconds since 1970 UTC.
 */
subrosa_status subrosa_request_received(const struct subrosa_request *request, uint64_t *time);

/**
 * Accepts the request of `person`, who is a friend from now on. SUBROSA_NOT_FOUND when there is no such request.
 */
subrosa_status subrosa_request_accept(const struct subrosa_node *node, const struct subrosa_person *person);

/**
 * Declines the request of `person`. SUBROSA_NOT_FOUND when there is no such request.
 */
subrosa_status subrosa_request_decline(const struct subrosa_node *node, const struct subrosa_person *person);

/**
 * Friends, friends-to-be and those we block, in the order we met them: at most `limit`, and never more than 1000,
 * after `after`; NULL is from the start.
 *
 * Free `*friends` with subrosa_friends_free().
 */
subrosa_status subrosa_friend_list(const struct subrosa_node *node,
                                   const struct subrosa_person *after,
                                   size_t limit,
                                   struct subrosa_friends **friends);

/**
 * Those with whom there are messages in the store, friends or not, in the order we met them: at most `limit`, and
 * never more than 1000, after `after`; NULL is from the start.
 *
 * Free `*friends` with subrosa_friends_free().
 */
subrosa_status subrosa_conversation_list(const struct subrosa_node *node,
                                         const struct subrosa_person *after,
                                         size_t limit,
                                         struct subrosa_friends **friends);

/**
 * How many friends are in the list; 0 for NULL. May be called from callbacks.
 */
size_t subrosa_friends_len(const struct subrosa_friends *friends);

/**
 * The friend at `index`, from 0; NULL beyond the end. It belongs to the list and ends with it. May be called from
 * callbacks.
 */
const struct subrosa_friend *subrosa_friends_at(const struct subrosa_friends *friends, size_t index);

/**
 * Frees the list, the friends in it, and all their getters gave. NULL is fine. May be called from callbacks.
 */
void subrosa_friends_free(struct subrosa_friends *friends);

/**
 * One friend, friend-to-be, or somebody we block. SUBROSA_NOT_A_FRIEND for strangers.
 *
 * Free `*friend` with subrosa_friend_free().
 */
subrosa_status subrosa_friend_get(const struct subrosa_node *node,
                                  const struct subrosa_person *person,
                                  struct subrosa_friend **one);

/**
 * Frees a friend that subrosa_friend_get() gave, and all its getters gave; those of a list end with the list. NULL is
 * fine. May be called from callbacks.
 */
void subrosa_friend_free(struct subrosa_friend *one);

/**
 * Who it is.
 */
subrosa_status subrosa_friend_person(const struct subrosa_friend *one, struct subrosa_person *person);

/**
 * What you call them, if you do. Valid as long as the friend.
 */
subrosa_status subrosa_friend_name(const struct subrosa_friend *one, struct subrosa_text *name);

/**
 * How far the friendship is: a SUBROSA_FRIENDSHIP_ number, or -1 for a state this version of the interface has no
 * number for.
 */
subrosa_status subrosa_friend_state(const struct subrosa_friend *one, int32_t *state);

/**
 * Whether links are allowed and they learn our addresses: 1 or 0.
 */
subrosa_status subrosa_friend_direct(const struct subrosa_friend *one, int32_t *direct);

/**
 * Whether a link stands: 1 or 0.
 */
subrosa_status subrosa_friend_connected(const struct subrosa_friend *one, int32_t *connected);

/**
 * Where they are ("192.0.2.1:4000"), while a link stands. Valid as long as the friend.
 */
subrosa_status subrosa_friend_address(const struct subrosa_friend *one, struct subrosa_text *address);

/**
 * When a link with them last came up or ended, if there was one, in milliseconds since 1970 UTC.
 */
subrosa_status subrosa_friend_last_seen(const struct subrosa_friend *one, uint64_t *time);

/**
 * How many messages wait for them.
 */
subrosa_status subrosa_friend_queued_messages(const struct subrosa_friend *one, uint64_t *count);

/**
 * What those count against the limit of the queue, in bytes.
 */
subrosa_status subrosa_friend_queued_bytes(const struct subrosa_friend *one, uint64_t *count);

/**
 * Since when we know them, in milliseconds since 1970 UTC.
 */
subrosa_status subrosa_friend_since(const struct subrosa_friend *one, uint64_t *time);

/**
 * Ends the friendship with `person` on this side, at once: link, queue and shared secrets are gone, and messages that
 * waited end as refused. SUBROSA_NOT_A_FRIEND or SUBROSA_NOT_FOUND when there is none.
 */
subrosa_status subrosa_friend_remove(const struct subrosa_node *node, const struct subrosa_person *person);

/**
 * Allows (1) or forbids (0) links with a friend. While they are forbidden, the friend learns no address of ours, and
 * messages wait. SUBROSA_NOT_A_FRIEND for strangers.
 */
subrosa_status subrosa_friend_set_direct(const struct subrosa_node *node,
                                         const struct subrosa_person *person,
                                         int32_t direct);

/**
 * Gives a friend the name you call them by, at most 256 bytes; NULL takes it away. They never see it.
 * SUBROSA_NOT_A_FRIEND for strangers, SUBROSA_TOO_LARGE.
 */
subrosa_status subrosa_friend_rename(const struct subrosa_node *node,
                                     const struct subrosa_person *person,
                                     const char *name);

/**
 * Blocks a person, friend or not: a friendship ends as by subrosa_friend_remove(), a request of theirs is gone, and
 * from now on they get no answer, whatever invite they hold. Blocking twice is fine.
 */
subrosa_status subrosa_friend_block(const struct subrosa_node *node, const struct subrosa_person *person);

/**
 * Ends a block: the person is a stranger then, who may redeem an invite again. SUBROSA_NOT_FOUND when there is none.
 */
subrosa_status subrosa_friend_unblock(const struct subrosa_node *node, const struct subrosa_person *person);

/**
 * Writes the safety number of us and `person`, 60 digits with a zero at their end, into your buffer `digits`, which
 * has room for `size` bytes: SUBROSA_SAFETY_NUMBER_SIZE is enough. Both of you see the same digits; compare them by
 * voice or side by side, and if they match, each has the other's real identity.
 */
subrosa_status subrosa_friend_safety_number(const struct subrosa_node *node,
                                            const struct subrosa_person *person,
                                            char *digits,
                                            size_t size);

/**
 * Sends `len` bytes to a friend, or to somebody whose invite was redeemed. Returns when the message is on disk: from
 * then on it is never lost, and ends in one delivery event, however often either side crashes. `options` may be NULL.
 * `id` may be NULL if you do not want to know it.
 *
 * SUBROSA_NOT_A_FRIEND, SUBROSA_TOO_LARGE above SUBROSA_MAX_BODY, SUBROSA_QUEUE_FULL when too much waits for this
 * friend, SUBROSA_NO_WAY over a link only to a friend who is not direct, SUBROSA_POW_TOO_DEAR in envelopes only or to
 * a friend who is not direct.
 */
subrosa_status subrosa_message_send(const struct subrosa_node *node,
                                    const struct subrosa_person *person,
                                    const uint8_t *body,
                                    size_t len,
                                    const struct subrosa_send_options *options,
                                    struct subrosa_message_id *id);

/**
 * Says something for now only (typing, presence) to a friend with a link: at most SUBROSA_MAX_BODY bytes. It is not
 * kept, may be lost, and comes as a transient event. SUBROSA_NO_WAY when there is no link.
 */
subrosa_status subrosa_message_send_transient(const struct subrosa_node *node,
                                              const struct subrosa_person *person,
                                              const uint8_t *body,
                                              size_t len);

/**
 * Takes a message back that was not transmitted yet: `*cancelled` is 1, and its delivery event says so; or 0 when it
 * was too late.
 */
subrosa_status subrosa_message_cancel(const struct subrosa_node *node,
                                      const struct subrosa_message_id *id,
                                      int32_t *cancelled);

/**
 * After a lane_stopped event: sends the message that was refused once more. SUBROSA_NOT_FOUND when the lane does not
 * stand still.
 */
subrosa_status subrosa_lane_retry(const struct subrosa_node *node,
                                  const struct subrosa_person *person,
                                  uint32_t lane);

/**
 * After a lane_stopped event: gives the message up, whose delivery event says refused, and goes on with the next.
 * SUBROSA_NOT_FOUND when the lane does not stand still.
 */
subrosa_status subrosa_lane_skip(const struct subrosa_node *node, const struct subrosa_person *person, uint32_t lane);

/**
 * A SUBROSA_REFUSAL_ number in words, for people. Never NULL. The text lives as long as the library. May be called
 * from callbacks.
 */
const char *subrosa_refusal_text(int32_t refusal);

/**
 * The history with a friend, also a removed one, the newest message first: at most `limit`, and never more than 1000,
 * before row `before` (subrosa_message_row() of the last one seen); 0 is from the newest. SUBROSA_NOT_A_FRIEND for
 * strangers.
 *
 * Free `*messages` with subrosa_messages_free().
 */
subrosa_status subrosa_message_list(const struct subrosa_node *node,
                                    const struct subrosa_person *person,
                                    int64_t before,
                                    size_t limit,
                                    struct subrosa_messages **messages);

/**
 * How many messages are in the list; 0 for NULL. May be called from callbacks.
 */
size_t subrosa_messages_len(const struct subrosa_messages *messages);

/**
 * The message at `index`, from 0; NULL beyond the end. It belongs to the list and ends with it. May be called from
 * callbacks.
 */
const struct subrosa_message *subrosa_messages_at(const struct subrosa_messages *messages, size_t index);

/**
 * Frees the list, the messages in it, and all their getters gave. NULL is fine. May be called from callbacks.
 */
void subrosa_messages_free(struct subrosa_messages *messages);

/**
 * A message of ours or a friend's. SUBROSA_NOT_FOUND when there is none, or it was deleted.
 *
 * Free `*message` with subrosa_message_free().
 */
subrosa_status subrosa_message_get(const struct subrosa_node *node,
                                   const struct subrosa_message_id *id,
                                   struct subrosa_message **message);

/**
 * Frees a message that subrosa_message_get() gave, and all its getters gave; those of a list end with the list. NULL
 * is fine. May be called from callbacks.
 */
void subrosa_message_free(struct subrosa_message *message);

/**
 * Which message it is.
 */
subrosa_status subrosa_message_get_id(const struct subrosa_message *message, struct subrosa_message_id *id);

/**
 * With whom.
 */
subrosa_status subrosa_message_person(const struct subrosa_message *message, struct subrosa_person *person);

/**
 * Its place in the history, for subrosa_message_list(): above 0, and larger for those that came later.
 */
subrosa_status subrosa_message_row(const struct subrosa_message *message, int64_t *row);

/**
 * Who wrote it: 1 the friend, 0 we.
 */
subrosa_status subrosa_message_incoming(const struct subrosa_message *message, int32_t *incoming);

/**
 * The lane it goes by.
 */
subrosa_status subrosa_message_lane(const struct subrosa_message *message, uint32_t *lane);

/**
 * The body: whatever was sent, so check it. Valid as long as the message.
 */
subrosa_status subrosa_message_body(const struct subrosa_message *message, struct subrosa_bytes *body);

/**
 * What the body is, if the sender said so. Valid as long as the message.
 */
subrosa_status subrosa_message_content_type(const struct subrosa_message *message, struct subrosa_text *content_type);

/**
 * The message that it answers, if it does.
 */
subrosa_status subrosa_message_reply_to(const struct subrosa_message *message, struct subrosa_message_id *id);

/**
 * When it was sent, by the clock of the sender, in milliseconds since 1970 UTC.
 */
subrosa_status subrosa_message_sent(const struct subrosa_message *message, uint64_t *time);

/**
 * When a friend's message came, by our clock, in milliseconds since 1970 UTC; ours have none.
 */
subrosa_status subrosa_message_received(const struct subrosa_message *message, uint64_t *time);

/**
 * What became of it: a SUBROSA_DELIVERY_ number, or -1 for a state this version of the interface has no number for.
 */
subrosa_status subrosa_message_state(const struct subrosa_message *message, int32_t *state);

/**
 * By which ways a message of ours may go: a SUBROSA_SEND_WAY_ number. Of a friend's it says nothing; how that came is
 * in its event.
 */
subrosa_status subrosa_message_send_way(const struct subrosa_message *message, int32_t *way);

/**
 * Why it was refused, if it was: a SUBROSA_REFUSAL_ number. subrosa_refusal_text() has it in words.
 */
subrosa_status subrosa_message_refusal(const struct subrosa_message *message, int32_t *refusal);

/**
 * Whether you have acked the event of a friend's message: 1 or 0. Of ours it says nothing.
 */
subrosa_status subrosa_message_acked(const struct subrosa_message *message, int32_t *acked);

/**
 * Deletes a message from this store for good, ours or a friend's; the other side keeps its own. One that was not acked
 * counts as acked. SUBROSA_NOT_FOUND; SUBROSA_WRONG_STATE for one that still waits to be sent: cancel it first.
 */
subrosa_status subrosa_message_delete(const struct subrosa_node *node,
                                      const struct subrosa_message_id *id);

/**
 * Deletes the history with a friend, also a removed one, from this store for good, but for messages that still wait to
 * be sent. `*deleted` is how many; it may be NULL. Takes several writes to disk when there are many.
 * SUBROSA_NOT_A_FRIEND for strangers.
 */
subrosa_status subrosa_conversation_delete(const struct subrosa_node *node,
                                           const struct subrosa_person *person,
                                           uint64_t *deleted);

/**
 * Publishes `len` bytes in an envelope that spreads through the network of nodes. Returns when it is on disk; the
 * search for its proof of work goes on by itself, over restarts as well, and ends in a published event. `id` may be
 * NULL if you do not want to know it.
 *
 * SUBROSA_NO_WAY without a peer to give it to, SUBROSA_TOO_LARGE above about 65000 bytes, SUBROSA_POW_TOO_DEAR for a
 * proof of work that nobody can do, SUBROSA_QUEUE_FULL when 1024 publications, or 64 MiB of them, wait to leave.
 */
subrosa_status subrosa_publish(const struct subrosa_node *node,
                               const uint8_t *body,
                               size_t len,
                               const struct subrosa_publish_options *options,
                               struct subrosa_publication_id *id);

/**
 * Takes a publication back: `*cancelled` is 1 if it had not left, and its published event says so; or 0 when it was
 * too late.
 */
subrosa_status subrosa_publish_cancel(const struct subrosa_node *node,
                                      const struct subrosa_publication_id *id,
                                      int32_t *cancelled);

/**
 * What the proof of work would cost of `size` bytes, sealed to a person and unsigned, that live for `ttl_ms`
 * milliseconds; `pow` as in subrosa_publish_options. `*bits` are the leading zero bits to be found, `*hashes` what that
 * takes on average (one search in three takes longer, one in fifty four times as long), `*seconds` what that takes on
 * one thread of this machine, as just measured. Each of the three may be NULL.
 *
 * SUBROSA_TOO_LARGE for what fits no envelope, SUBROSA_POW_TOO_DEAR for what nobody can do.
 */
subrosa_status subrosa_pow_cost(const struct subrosa_node *node,
                                size_t size,
                                uint64_t ttl_ms,
                                double pow,
                                uint32_t *bits,
                                double *hashes,
                                double *seconds);

/**
 * Subscribes: every envelope that matches becomes one durable envelope event, also what came while the node was away,
 * as far as archives have it. Lasts until subrosa_unsubscribe(), over restarts. `options` may be NULL: everything that
 * is sealed to the identity of this node. `id` may be NULL if you do not want to know it.
 *
 * SUBROSA_QUEUE_FULL beyond 1024 subscriptions.
 */
subrosa_status subrosa_subscribe(const struct subrosa_node *node,
                                 const struct subrosa_subscribe_options *options,
                                 struct subrosa_subscription_id *id);

/**
 * Ends a subscription; events that wait still come. SUBROSA_NOT_FOUND when there is no such subscription.
 */
subrosa_status subrosa_unsubscribe(const struct subrosa_node *node, const struct subrosa_subscription_id *id);

/**
 * The subscriptions, the oldest first: at most `limit` of them, and never more than 1000, after `after`; NULL is from
 * the start.
 *
 * Free `*subscriptions` with subrosa_subscriptions_free(); the subscriptions themselves stay.
 */
subrosa_status subrosa_subscription_list(const struct subrosa_node *node,
                                         const struct subrosa_subscription_id *after,
                                         size_t limit,
                                         struct subrosa_subscriptions **subscriptions);

/**
 * How many subscriptions are in the list; 0 for NULL. May be called from callbacks.
 */
size_t subrosa_subscriptions_len(const struct subrosa_subscriptions *subscriptions);

/**
 * The subscription at `index`, from 0; NULL beyond the end. It belongs to the list and ends with it. May be called
 * from callbacks.
 */
const struct subrosa_subscription *subrosa_subscriptions_at(const struct subrosa_subscriptions *subscriptions,
                                                            size_t index);

/**
 * Frees the list and what is in it. NULL is fine. May be called from callbacks.
 */
void subrosa_subscriptions_free(struct subrosa_subscriptions *subscriptions);

/**
 * Its name, as events and subrosa_unsubscribe() know it.
 */
subrosa_status subrosa_subscription_get_id(const struct subrosa_subscription *subscription,
                                           struct subrosa_subscription_id *id);

/**
 * What opens its envelopes: a SUBROSA_SUBSCRIPTION_ number, or -1 for a kind this version of the interface has no
 * number for.
 */
subrosa_status subrosa_subscription_kind(const struct subrosa_subscription *subscription, int32_t *kind);

/**
 * The topic at `index`, from 0. SUBROSA_NOT_FOUND beyond the last; a subscription without topics is to all of them.
 */
subrosa_status subrosa_subscription_topic(const struct subrosa_subscription *subscription,
                                          size_t index,
                                          struct subrosa_topic *topic);

/**
 * Whose signature it asks for, if anybody's.
 */
subrosa_status subrosa_subscription_sender(const struct subrosa_subscription *subscription,
                                           struct subrosa_person *sender);

/**
 * The least proof of work it asks for.
 */
subrosa_status subrosa_subscription_least_pow(const struct subrosa_subscription *subscription, double *pow);

/**
 * What was sent earlier is not wanted: milliseconds since 1970 UTC.
 */
subrosa_status subrosa_subscription_since(const struct subrosa_subscription *subscription, uint64_t *time);

/**
 * Archives gave all that was sent before this, in milliseconds since 1970 UTC, if they ever did.
 */
subrosa_status subrosa_subscription_complete(const struct subrosa_subscription *subscription, uint64_t *time);

/**
 * Your note, if there is one. Valid as long as the list.
 */
subrosa_status subrosa_subscription_label(const struct subrosa_subscription *subscription,
                                          struct subrosa_text *label);

/**
 * Keeps a connection with this node from now on, over restarts: "host:port", or "subrosanode1...@host:port" to take
 * nobody else there. Adding one twice is fine. SUBROSA_QUEUE_FULL beyond 1024.
 */
subrosa_status subrosa_peer_add(const struct subrosa_node *node, const char *address);

/**
 * Forgets a peer that was added, and ends the connection with it. SUBROSA_NOT_FOUND when it is not kept; those of the
 * config are not.
 */
subrosa_status subrosa_peer_remove(const struct subrosa_node *node, const char *address);

/**
 * The peers, those of the config first, those that friends name last: at most `limit` of them, and never more than 1000, after the address `after`;
 * NULL is from the start.
 *
 * Free `*peers` with subrosa_peers_free(); the peers themselves stay.
 */
subrosa_status subrosa_peer_list(const struct subrosa_node *node,
                                 const char *after,
                                 size_t limit,
                                 struct subrosa_peers **peers);

/**
 * Asks this archive from now on, over restarts: an address as of subrosa_peer_add(), and the grant that its operator
 * gave you, at most 64 bytes, or NULL with `len` 0. Adding one again replaces the grant. SUBROSA_QUEUE_FULL beyond 64.
 */
subrosa_status subrosa_archive_add(const struct subrosa_node *node,
                                   const char *address,
                                   const uint8_t *grant,
                                   size_t len);

/**
 * Forgets an archive that was added. SUBROSA_NOT_FOUND when it is not kept; those of the config are not.
 */
subrosa_status subrosa_archive_remove(const struct subrosa_node *node, const char *address);

/**
 * The archives, as subrosa_peer_list() gives the peers.
 *
 * Free `*archives` with subrosa_peers_free(); the archives themselves stay.
 */
subrosa_status subrosa_archive_list(const struct subrosa_node *node,
                                    const char *after,
                                    size_t limit,
                                    struct subrosa_peers **archives);

/**
 * How many peers or archives are in the list; 0 for NULL. May be called from callbacks.
 */
size_t subrosa_peers_len(const struct subrosa_peers *peers);

/**
 * The peer or archive at `index`, from 0; NULL beyond the end. It belongs to the list and ends with it. May be called
 * from callbacks.
 */
const struct subrosa_peer *subrosa_peers_at(const struct subrosa_peers *peers, size_t index);

/**
 * Frees the list and what is in it. NULL is fine. May be called from callbacks.
 */
void subrosa_peers_free(struct subrosa_peers *peers);

/**
 * Its address. Valid as long as the list.
 */
subrosa_status subrosa_peer_address(const struct subrosa_peer *peer, struct subrosa_text *address);

/**
 * 1 if you named it, with subrosa_peer_add() or in the config; 0 if it was learned from others: subrosa_peer_friend().
 */
subrosa_status subrosa_peer_fixed(const struct subrosa_peer *peer,
                                  int32_t *fixed);

/**
 * The friend who named it, when nobody but friends did. SUBROSA_NOT_FOUND otherwise.
 */
subrosa_status subrosa_peer_friend(const struct subrosa_peer *peer, struct subrosa_person *person);

/**
 * Whether a grant is kept for it, which only archives have: 1 or 0.
 */
subrosa_status subrosa_peer_granted(const struct subrosa_peer *peer, int32_t *granted);

/**
 * When it last did what was asked of it, to within an hour, in milliseconds since 1970 UTC; kept of those that were
 * added only. SUBROSA_NOT_FOUND when it never did.
 */
subrosa_status subrosa_peer_last_good(const struct subrosa_peer *peer, uint64_t *time);

/**
 * The SUBROSA_EVENT_ number of an event; 0 for NULL, and for an event this version of the interface has no number for.
 * Ack and free events of a kind you do not know: later versions have more.
 */
int32_t subrosa_event_kind(const struct subrosa_event *event);

/**
 * The id of a durable event, for subrosa_node_ack(); 0 for an event that is not durable, and for NULL. Never used
 * twice within a store.
 */
int64_t subrosa_event_id(const struct subrosa_event *event);

/**
 * Frees the event and all its getters gave. It does not ack it. NULL is fine. May be called from callbacks.
 */
void subrosa_event_free(struct subrosa_event *event);

/**
 * The person it is about; of an envelope event, who signed it, if anybody did.
 */
subrosa_status subrosa_event_person(const struct subrosa_event *event, struct subrosa_person *person);

/**
 * The message it is about: of message, delivery, lane_stopped and waiting events.
 */
subrosa_status subrosa_event_message_id(const struct subrosa_event *event, struct subrosa_message_id *id);

/**
 * The message that a message answers, if it does.
 */
subrosa_status subrosa_event_reply_to(const struct subrosa_event *event, struct subrosa_message_id *id);

/**
 * The invite of invite_reused and invite_expired events.
 */
subrosa_status subrosa_event_invite_id(const struct subrosa_event *event, struct subrosa_invite_id *id);

/**
 * The body of message, transient and envelope events: whatever somebody sent, so check it. Valid until subrosa_event_free().
 */
subrosa_status subrosa_event_body(const struct subrosa_event *event,
                                  struct subrosa_bytes *body);

/**
 * The greeting of a request, what happened in a fault event, the address ("192.0.2.1:4000") in a link event. Valid
 * until subrosa_event_free().
 */
subrosa_status subrosa_event_text(const struct subrosa_event *event, struct subrosa_text *text);

/**
 * The label of our invite, if it has one: of request, invite_reused and invite_expired events. Valid until
 * subrosa_event_free().
 */
subrosa_status subrosa_event_label(const struct subrosa_event *event, struct subrosa_text *label);

/**
 * What the body of a message is, if the sender said so. Valid until subrosa_event_free().
 */
subrosa_status subrosa_event_content_type(const struct subrosa_event *event, struct subrosa_text *content_type);

/**
 * The lane of message, lane_stopped and waiting events.
 */
subrosa_status subrosa_event_lane(const struct subrosa_event *event, uint32_t *lane);

/**
 * When a message or envelope was sent, by the clock of the sender, in milliseconds since 1970 UTC; envelopes may be
 * dated back by some seconds.
 */
subrosa_status subrosa_event_sent(const struct subrosa_event *event, uint64_t *time);

/**
 * When a message came, by our clock, in milliseconds since 1970 UTC.
 */
subrosa_status subrosa_event_received(const struct subrosa_event *event, uint64_t *time);

/**
 * How a message came: a SUBROSA_WAY_ number, or 0 for a way this version of the interface has no number for.
 */
subrosa_status subrosa_event_way(const struct subrosa_event *event, int32_t *way);

/**
 * What became of it: a number whose names begin as the kind of the event says (SUBROSA_DELIVERY_, SUBROSA_FRIEND_ and
 * so on), or 1 and 0 for full and room again. A number you do not know comes from a later version: ignore it; -1 stands for one that
 * this version of the interface has no number for.
 */
subrosa_status subrosa_event_state(const struct subrosa_event *event,
                                   int32_t *state);

/**
 * Why a message was refused: a SUBROSA_REFUSAL_ number, of lane_stopped events and of deliveries that ended refused.
 * subrosa_refusal_text() has it in words.
 */
subrosa_status subrosa_event_refusal(const struct subrosa_event *event, int32_t *refusal);

/**
 * What is full: a SUBROSA_FULL_ number, or 0 for something this version of the interface has no number for.
 */
subrosa_status subrosa_event_what(const struct subrosa_event *event, int32_t *what);

/**
 * The offset of a clock event, in milliseconds, ours minus theirs; how many events were lost, in a dropped event; how
 * many hashes were done, in a progress event.
 */
subrosa_status subrosa_event_number(const struct subrosa_event *event, int64_t *number);

/**
 * The publication of published and progress events.
 */
subrosa_status subrosa_event_publication_id(const struct subrosa_event *event, struct subrosa_publication_id *id);

/**
 * The subscription that opened the envelope of an envelope event.
 */
subrosa_status subrosa_event_subscription_id(const struct subrosa_event *event, struct subrosa_subscription_id *id);

/**
 * The topic of an envelope.
 */
subrosa_status subrosa_event_topic(const struct subrosa_event *event, struct subrosa_topic *topic);

/**
 * The id of an envelope.
 */
subrosa_status subrosa_event_hash(const struct subrosa_event *event, struct subrosa_envelope_hash *hash);

/**
 * When an envelope ends, in milliseconds since 1970 UTC.
 */
subrosa_status subrosa_event_expires(const struct subrosa_event *event, uint64_t *time);

/**
 * The proof of work that an envelope showed.
 */
subrosa_status subrosa_event_pow(const struct subrosa_event *event, double *pow);

/**
 * How many hashes a search that a progress event is about takes on average; one in three takes longer.
 */
subrosa_status subrosa_event_expected(const struct subrosa_event *event, double *hashes);

/**
 * Sends the log of the library, up to `level` (a SUBROSA_LOG_ number), to `callback`, for the whole process and all
 * nodes. NULL or SUBROSA_LOG_OFF ends it. Before the first call nothing is logged.
 *
 * When this returns, the callback that was set before does not run any more, and will not. SUBROSA_ALREADY_EXISTS when
 * Rust code of the same process has set a logger of its own.
 */
subrosa_status subrosa_log_set(int32_t level,
                               subrosa_log_callback callback,
                               void *userdata);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SUBROSA_H */
