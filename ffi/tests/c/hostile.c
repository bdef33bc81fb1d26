/*
 * A host that does everything wrong: short buffers, handles freed twice, used after they were freed or closed, or given
 * for something else, callbacks that call in, threads that close under each other, and fork. It runs under
 * AddressSanitizer, UBSan and Memcheck, and so every buffer here is from malloc and as large as the call is told.
 *
 * The argument names a folder for the stores. The last line is "done".
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "subrosa.h"

static const char *folder;

static void fail(int line, const char *what) {
    fprintf(stderr, "line %d: %s: %s\n", line, what, subrosa_last_error());
    _exit(1);
}

#define CHECK(condition) do { if (!(condition)) fail(__LINE__, #condition); } while (0)
#define OK(call) CHECK((call) == SUBROSA_OK)
#define REFUSED(call, status) CHECK((call) == (status) && strlen(subrosa_last_error()) > 8)

/* A copy on the heap without a byte to spare. */
static void *exactly(const void *bytes, size_t len) {
    void *copy = malloc(len ? len : 1);
    CHECK(copy != NULL);
    if (len) memcpy(copy, bytes, len);
    return copy;
}

static subrosa_config *new_config(const char *name) {
    subrosa_config *config;
    char path[1024];
    unsigned char *key = malloc(32);
    CHECK(key != NULL && snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path);
    memset(key, 7, 32);
    OK(subrosa_config_new(SUBROSA_PRESET_TEST, path, &config));
    OK(subrosa_config_set_key(config, key, 32));
    free(key);
    return config;
}

static subrosa_node *new_node(const char *name) {
    subrosa_config *config = new_config(name);
    subrosa_node *node;
    OK(subrosa_node_open(config, &node));
    subrosa_config_free(config);
    return node;
}

/* No call reads or writes a byte beyond what it is told. */
static void lengths(void) {
    size_t len;
    subrosa_config *config = new_config("lengths");
    subrosa_identity *identity = NULL;
    subrosa_person person;
    for (len = 0; len <= 34; len++) {
        unsigned char *buffer = malloc(len ? len : 1);
        CHECK(buffer != NULL);
        memset(buffer, 1, len ? len : 1);
        CHECK((subrosa_config_set_key(config, buffer, len) == SUBROSA_OK) == (len == 32));
        CHECK((subrosa_identity_from_secret(buffer, len, &identity) == SUBROSA_OK) == (len == 32));
        free(buffer);
    }
    OK(subrosa_identity_person(identity, &person));
    for (len = 0; len <= SUBROSA_PERSON_TEXT_SIZE; len++) {
        char *text = malloc(len ? len : 1);
        unsigned char *secret = malloc(len ? len : 1);
        CHECK(text != NULL && secret != NULL);
        CHECK((subrosa_person_text(&person, text, len) == SUBROSA_OK) == (len >= 68));
        CHECK((subrosa_identity_secret(identity, secret, len) == SUBROSA_OK) == (len >= 32));
        free(secret);
        free(text);
    }
    REFUSED(subrosa_config_set_passphrase(config, "\xc3\x28"), SUBROSA_INVALID_ARGUMENT);
    subrosa_identity_free(identity);
    subrosa_config_free(config);
}

/* Options are as large as they say they are, however small the header was they come from. */
static void options(subrosa_node *node) {
    subrosa_invite_options known = SUBROSA_INVITE_OPTIONS_INIT;
    subrosa_invite_options *given = exactly(&known, sizeof known);
    size_t *lie = malloc(sizeof *lie);
    subrosa_invite *invite;
    OK(subrosa_invite_create(node, given, &invite));
    subrosa_invite_free(invite);
    CHECK(lie != NULL);
    for (*lie = 0; *lie < sizeof known; ++*lie) {
        REFUSED(subrosa_invite_create(node, (subrosa_invite_options *)(void *)lie, &invite),
                SUBROSA_INVALID_ARGUMENT);
    }
    *lie = (size_t)-1;
    REFUSED(subrosa_invite_create(node, (subrosa_invite_options *)(void *)lie, &invite), SUBROSA_INVALID_ARGUMENT);
    free(lie);
    free(given);
}

/* The same for what Whisper takes: keys, grants, topics, passwords and options, each without a byte to spare. */
static void whisper(subrosa_node *node) {
    subrosa_publish_options publish = SUBROSA_PUBLISH_OPTIONS_INIT;
    subrosa_subscribe_options subscribe = SUBROSA_SUBSCRIBE_OPTIONS_INIT;
    subrosa_keep_options keep = SUBROSA_KEEP_OPTIONS_INIT;
    subrosa_config *config = new_config("whisper");
    subrosa_topic *topics = exactly("newspost", 8);
    char *address = exactly("127.0.0.1:9", 12);
    subrosa_publication_id published;
    subrosa_subscription_id subscribed;
    subrosa_subscriptions *list = NULL;
    const subrosa_subscription *row;
    subrosa_peers *peers = NULL;
    subrosa_bytes grant;
    subrosa_topic topic;
    subrosa_text text;
    size_t len, *lie = malloc(sizeof *lie);
    int32_t number;
    CHECK(lie != NULL);

    for (len = 0; len <= 66; len++) {
        unsigned char *bytes = malloc(len ? len : 1);
        CHECK(bytes != NULL);
        memset(bytes, 1, len ? len : 1);
        subscribe.topics = topics;
        subscribe.topics_count = 2;
        subscribe.key = bytes;
        subscribe.key_len = len;
        if (len == 32) {
            OK(subrosa_subscribe(node, &subscribe, &subscribed));
        } else if (len > 0) {
            REFUSED(subrosa_subscribe(node, &subscribe, &subscribed), SUBROSA_INVALID_ARGUMENT);
        }
        publish.key = bytes;
        publish.key_len = len;
        CHECK(subrosa_publish(node, bytes, len, &publish, &published) != SUBROSA_OK); /* nobody to give it to */
        /* 64 archives at most, and 65 lengths that are grants. */
        CHECK((subrosa_config_add_archive(config, address, bytes, len) == SUBROSA_OK) == (len < 64));
        grant.ptr = bytes;
        grant.len = len;
        keep.grants = &grant;
        keep.grants_count = 1;
        CHECK((subrosa_config_keep_archive(config, "archive", &keep) == SUBROSA_OK) == (len >= 1 && len <= 64));
        free(bytes);
    }
    for (*lie = 0; *lie < sizeof publish; ++*lie) {
        REFUSED(subrosa_publish(node, NULL, 0, (subrosa_publish_options *)(void *)lie, NULL),
                SUBROSA_INVALID_ARGUMENT);
    }
    for (*lie = 0; *lie < sizeof subscribe; ++*lie) {
        REFUSED(subrosa_subscribe(node, (subrosa_subscribe_options *)(void *)lie, NULL), SUBROSA_INVALID_ARGUMENT);
    }
    for (*lie = 0; *lie < sizeof keep; ++*lie) {
        REFUSED(subrosa_config_keep_archive(config, "archive", (subrosa_keep_options *)(void *)lie),
                SUBROSA_INVALID_ARGUMENT);
    }
    OK(subrosa_subscription_list(node, NULL, 10, &list));
    row = subrosa_subscriptions_at(list, 0);
    OK(subrosa_subscription_kind(row, &number));
    CHECK(number == SUBROSA_SUBSCRIPTION_SYMMETRIC && subrosa_subscriptions_len(list) == 1);
    OK(subrosa_subscription_topic(row, 1, &topic));
    CHECK(memcmp(&topic, "post", 4) == 0);
    REFUSED(subrosa_subscription_topic(row, 2, &topic), SUBROSA_NOT_FOUND);
    REFUSED(subrosa_subscription_label(row, &text), SUBROSA_NOT_FOUND);
    REFUSED(subrosa_peer_address((subrosa_peer *)(void *)row, &text), SUBROSA_INVALID_ARGUMENT);
    subrosa_subscriptions_free(list);
    subrosa_subscriptions_free(list);
    REFUSED(subrosa_subscription_kind(row, &number), SUBROSA_NULL_OR_CLOSED);
    OK(subrosa_unsubscribe(node, &subscribed));
    REFUSED(subrosa_unsubscribe(node, &subscribed), SUBROSA_NOT_FOUND);

    OK(subrosa_peer_add(node, address));
    OK(subrosa_peer_list(node, NULL, 10, &peers));
    OK(subrosa_peer_address(subrosa_peers_at(peers, 0), &text));
    CHECK(strcmp(text.ptr, address) == 0 && subrosa_peers_at(peers, 1) == NULL);
    subrosa_peers_free(peers);
    OK(subrosa_peer_remove(node, address));
    free(lie);
    free(address);
    free(topics);
    subrosa_config_free(config);
}

/* Handles that are none any more, or something else. */
static void handles(subrosa_node *node) {
    subrosa_config *config = new_config("handles");
    subrosa_identity *identity;
    subrosa_invite *invite;
    subrosa_invites *invites;
    const subrosa_invite *row;
    subrosa_snapshot *snapshot;
    subrosa_event *event;
    subrosa_person person;
    subrosa_text text;
    uint64_t number;
    int32_t state;

    OK(subrosa_node_identity_export(node, &identity));
    OK(subrosa_invite_create(node, NULL, &invite));
    OK(subrosa_invite_list(node, &invites));
    OK(subrosa_node_status(node, &snapshot));
    row = subrosa_invites_at(invites, 0);
    CHECK(row != NULL && subrosa_invites_at(invites, subrosa_invites_len(invites)) == NULL);

    /* Of another kind: refused, and freeing does nothing. */
    REFUSED(subrosa_identity_person((subrosa_identity *)(void *)config, &person), SUBROSA_INVALID_ARGUMENT);
    REFUSED(subrosa_invite_text((subrosa_invite *)(void *)invites, &text), SUBROSA_INVALID_ARGUMENT);
    REFUSED(subrosa_node_pause((subrosa_node *)(void *)invite), SUBROSA_INVALID_ARGUMENT);
    CHECK(subrosa_event_kind((subrosa_event *)(void *)snapshot) == 0);
    CHECK(subrosa_friends_len((subrosa_friends *)(void *)invites) == 0);
    CHECK(subrosa_friends_at((subrosa_friends *)(void *)invites, 0) == NULL);
    subrosa_event_free((subrosa_event *)(void *)node);
    subrosa_node_free((subrosa_node *)(void *)identity);
    subrosa_invite_free((subrosa_invite *)row); /* belongs to its list */
    OK(subrosa_identity_person(identity, &person));
    OK(subrosa_invite_state(row, &state));

    /* Memory that never was a handle. */
    REFUSED(subrosa_invite_text((subrosa_invite *)(void *)&text, &text), SUBROSA_NULL_OR_CLOSED);
    REFUSED(subrosa_node_close((subrosa_node *)(void *)folder), SUBROSA_NULL_OR_CLOSED);

    /* Freed, used, and freed again, when there are others in the meantime, too. */
    subrosa_config_free(config);
    REFUSED(subrosa_config_set_number(config, SUBROSA_CONFIG_DIRECT, 1), SUBROSA_NULL_OR_CLOSED);
    subrosa_config_free(config);
    subrosa_identity_free(identity);
    config = new_config("handles");
    REFUSED(subrosa_identity_person(identity, &person), SUBROSA_NULL_OR_CLOSED);
    subrosa_identity_free(identity);
    subrosa_invite_free(invite);
    REFUSED(subrosa_invite_expires(invite, &number), SUBROSA_NULL_OR_CLOSED);
    subrosa_invite_free(invite);
    subrosa_snapshot_free(snapshot);
    REFUSED(subrosa_snapshot_number(snapshot, SUBROSA_SNAPSHOT_LINKS, &number), SUBROSA_NULL_OR_CLOSED);
    subrosa_snapshot_free(snapshot);
    subrosa_invites_free(invites);
    CHECK(subrosa_invites_len(invites) == 0 && subrosa_invites_at(invites, 0) == NULL);
    REFUSED(subrosa_invite_state(row, &state), SUBROSA_NULL_OR_CLOSED);
    subrosa_invites_free(invites);
    subrosa_config_free(config);

    REFUSED(subrosa_node_next_event(node, 0, &event), SUBROSA_TIMED_OUT);
}

static int called;

/* A callback that does what it must not; what may be done works. */
static void call_in(void *userdata) {
    subrosa_node *node = userdata;
    subrosa_event *event = NULL;
    subrosa_snapshot *snapshot = NULL;
    REFUSED(subrosa_node_next_event(node, 0, &event), SUBROSA_FROM_CALLBACK);
    REFUSED(subrosa_node_close(node), SUBROSA_FROM_CALLBACK);
    REFUSED(subrosa_store_wipe(node), SUBROSA_FROM_CALLBACK);
    REFUSED(subrosa_node_status(node, &snapshot), SUBROSA_FROM_CALLBACK);
    REFUSED(subrosa_node_set_wakeup(node, NULL, NULL), SUBROSA_FROM_CALLBACK);
    subrosa_node_free(node);
    CHECK(strcmp(subrosa_status_name(SUBROSA_FROM_CALLBACK), "from_callback") == 0);
    called = 1;
}

static int logged;

static void log_in(void *userdata, int32_t level, const char *target, const char *text) {
    subrosa_identity *identity;
    (void)userdata;
    CHECK(level >= SUBROSA_LOG_ERROR && level <= SUBROSA_LOG_TRACE && *target != 0 && *text != 0);
    REFUSED(subrosa_identity_generate(&identity), SUBROSA_FROM_CALLBACK);
    logged = 1;
}

static void callbacks(subrosa_node *node) {
    OK(subrosa_node_set_wakeup(node, call_in, node)); /* calls it once, before it returns or soon after */
    OK(subrosa_log_set(SUBROSA_LOG_TRACE, log_in, NULL));
    OK(subrosa_node_pause(node));
    OK(subrosa_node_resume(node));
    subrosa_identity_free((subrosa_identity *)(void *)node); /* is logged: it is none */
    OK(subrosa_log_set(SUBROSA_LOG_OFF, NULL, NULL));
    OK(subrosa_node_set_wakeup(node, NULL, NULL)); /* waits for calls in progress */
    CHECK(called && logged);
}

/* A node is of no thread: made here, used, closed and freed by others. */
static void *use(void *argument) {
    subrosa_node *node = argument;
    int i;
    CHECK(*subrosa_last_error() == 0); /* errors are of the thread that made them */
    for (i = 0; i < 20; i++) {
        subrosa_friends *friends;
        subrosa_person person;
        OK(subrosa_node_identity(node, &person));
        OK(subrosa_friend_list(node, NULL, 10, &friends));
        REFUSED(subrosa_friend_remove(node, &person), SUBROSA_NOT_A_FRIEND);
        subrosa_friends_free(friends);
    }
    return NULL;
}

static void *wait_for_ever(void *argument) {
    subrosa_event *event = NULL;
    subrosa_status status = SUBROSA_OK;
    /* The handle may be gone before this thread looks for it. */
    while (status == SUBROSA_OK) {
        status = subrosa_node_next_event(argument, SUBROSA_FOREVER, &event);
        if (status == SUBROSA_OK) subrosa_event_free(event);
    }
    CHECK(status == SUBROSA_WRONG_STATE || status == SUBROSA_NULL_OR_CLOSED);
    return NULL;
}

static void *free_it(void *argument) {
    subrosa_node_free(argument);
    return NULL;
}

static void threads(void) {
    subrosa_node *node = new_node("threads");
    pthread_t users[4], waiters[2], last[2];
    subrosa_person person;
    int i;
    for (i = 0; i < 2; i++) CHECK(pthread_create(&waiters[i], NULL, wait_for_ever, node) == 0);
    for (i = 0; i < 4; i++) CHECK(pthread_create(&users[i], NULL, use, node) == 0);
    for (i = 0; i < 4; i++) CHECK(pthread_join(users[i], NULL) == 0);
    /* Freed by two threads at once while two wait in it. */
    for (i = 0; i < 2; i++) CHECK(pthread_create(&last[i], NULL, free_it, node) == 0);
    for (i = 0; i < 2; i++) CHECK(pthread_join(last[i], NULL) == 0);
    for (i = 0; i < 2; i++) CHECK(pthread_join(waiters[i], NULL) == 0);
    REFUSED(subrosa_node_identity(node, &person), SUBROSA_NULL_OR_CLOSED);
}

static void expect_child(pid_t child, int code) {
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code);
}

/* A child of a process that uses the library gets errors, at once, and can start another program. */
static void forks(subrosa_node *node) {
    pid_t child;
    subrosa_person person;
    OK(subrosa_node_identity(node, &person));
    child = fork();
    if (child == 0) {
        subrosa_event *event;
        subrosa_config *config;
        alarm(60); /* rather than hang */
        REFUSED(subrosa_node_identity(node, &person), SUBROSA_WRONG_STATE);
        REFUSED(subrosa_node_next_event(node, SUBROSA_FOREVER, &event), SUBROSA_WRONG_STATE);
        REFUSED(subrosa_node_close(node), SUBROSA_WRONG_STATE);
        REFUSED(subrosa_config_new(SUBROSA_PRESET_TEST, folder, &config), SUBROSA_WRONG_STATE);
        CHECK(strstr(subrosa_last_error(), "fork") != NULL);
        CHECK(subrosa_invites_len(NULL) == 0 && subrosa_event_kind(NULL) == 0);
        subrosa_node_free(node);
        execl("/bin/sh", "sh", "-c", "exit 7", (char *)NULL);
        _exit(1);
    }
    expect_child(child, 7);
    OK(subrosa_node_identity(node, &person)); /* nothing happened to the parent */
}

/* Closed: every call says so; the handle is good until it is freed. */
static void closed(subrosa_node *node) {
    subrosa_invite *invite;
    subrosa_snapshot *snapshot;
    subrosa_friends *friends;
    subrosa_event *event;
    subrosa_person person;
    OK(subrosa_node_close(node));
    OK(subrosa_node_close(node));
    OK(subrosa_node_identity(node, &person));
    REFUSED(subrosa_node_next_event(node, SUBROSA_FOREVER, &event), SUBROSA_WRONG_STATE);
    REFUSED(subrosa_invite_create(node, NULL, &invite), SUBROSA_WRONG_STATE);
    REFUSED(subrosa_node_status(node, &snapshot), SUBROSA_WRONG_STATE);
    REFUSED(subrosa_friend_list(node, NULL, 1, &friends), SUBROSA_WRONG_STATE);
    REFUSED(subrosa_node_resume(node), SUBROSA_WRONG_STATE);
    REFUSED(subrosa_node_network_changed(node), SUBROSA_WRONG_STATE);
    subrosa_node_free(node);
    REFUSED(subrosa_node_close(node), SUBROSA_NULL_OR_CLOSED);
    subrosa_node_free(node);
}

int main(int argc, char **argv) {
    subrosa_node *node;
    pid_t child;
    if (argc != 2) return 2;
    folder = argv[1];
    /* Before the library is used, forking is fine: the child may use it. */
    child = fork();
    if (child == 0) {
        closed(new_node("child"));
        exit(6);
    }
    expect_child(child, 6);
    lengths();
    node = new_node("node");
    options(node);
    whisper(node);
    handles(node);
    callbacks(node);
    threads();
    forks(node);
    closed(node);
    puts("done");
    return 0;
}
