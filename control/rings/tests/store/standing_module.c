/* A PKCS#11 module in front of SoftHSM that stands still while a file lies in its folder: a token that does not answer. */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef unsigned long rv;
typedef rv (*call)(void);

/* CK_FUNCTION_LIST of PKCS#11 2.40: C_Initialize is the first, C_Login the 19th, C_Sign the 44th. */
struct list {
    unsigned char version[2];
    call calls[68];
};

static struct list real, standing;

static void stand(const char *where) {
    char path[4096];
    snprintf(path, sizeof path, "%s/stand-%s", getenv("RAVELIN_TOKEN_BENCH"), where);
    while (access(path, F_OK) == 0)
        usleep(5000);
}

static rv initialize(void *arguments) {
    stand("initialize");
    return ((rv (*)(void *))real.calls[0])(arguments);
}

static rv login(rv session, rv user, unsigned char *pin, rv length) {
    stand("login");
    return ((rv (*)(rv, rv, unsigned char *, rv))real.calls[18])(session, user, pin, length);
}

static rv sign(rv session, unsigned char *data, rv length, unsigned char *signature, rv *room) {
    stand("sign");
    return ((rv (*)(rv, unsigned char *, rv, unsigned char *, rv *))real.calls[43])(session, data, length, signature, room);
}

rv C_GetFunctionList(struct list **found) {
    void *library = dlopen("/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW);
    rv (*list_of)(struct list **) = library ? (rv (*)(struct list **))dlsym(library, "C_GetFunctionList") : NULL;
    struct list *list;
    if (!list_of || list_of(&list) != 0)
        return 5; /* CKR_GENERAL_ERROR */
    real = standing = *list;
    standing.calls[0] = (call)initialize;
    standing.calls[18] = (call)login;
    standing.calls[43] = (call)sign;
    *found = &standing;
    return 0;
}
