#include "CFreeRADIUS.h"

#include <string.h>

#include <freeradius/build.h>
/* what Debian's build had and its headers need not */
#undef HAVE_PCRE
#include <freeradius/libradius.h>
#include <freeradius/md5.h>

static RADIUS_PACKET *unwrap(gw_radius_packet *packet) { return (RADIUS_PACKET *)packet; }
static const RADIUS_PACKET *unwrap_const(const gw_radius_packet *packet) { return (const RADIUS_PACKET *)packet; }
static const VALUE_PAIR *pair_of(const gw_radius_pair *pair) { return (const VALUE_PAIR *)pair; }

/* The request that a reply answers, as far as encoding and decoding look at it. */
static RADIUS_PACKET request_with(const uint8_t *authenticator) {
    RADIUS_PACKET request;
    memset(&request, 0, sizeof request);
    if (authenticator != NULL) memcpy(request.vector, authenticator, sizeof request.vector);
    return request;
}

int gw_radius_load_dictionary(const char *directory, const char *file) { return dict_init(directory, file); }
int gw_radius_read_dictionary(const char *directory, const char *file) { return dict_read(directory, file); }
const char *gw_radius_error(void) { return fr_strerror(); }

const char *gw_radius_attribute_name(uint32_t number, uint32_t vendor) {
    const DICT_ATTR *attribute = dict_attrbyvalue(number, vendor);
    return attribute == NULL ? NULL : attribute->name;
}

bool gw_radius_attribute_number(const char *name, uint32_t *number, uint32_t *vendor) {
    const DICT_ATTR *attribute = dict_attrbyname(name);
    if (attribute == NULL) return false;
    *number = attribute->attr;
    *vendor = attribute->vendor;
    return true;
}

gw_radius_packet *gw_radius_new(uint8_t code, uint8_t identifier, const uint8_t authenticator[16]) {
    RADIUS_PACKET *packet = rad_alloc(NULL, false);
    if (packet == NULL) return NULL;
    packet->code = code;
    packet->id = identifier;
    memcpy(packet->vector, authenticator, sizeof packet->vector);
    return (gw_radius_packet *)packet;
}

void gw_radius_free(gw_radius_packet *packet) {
    RADIUS_PACKET *self = unwrap(packet);
    if (self == NULL) return;
    for (VALUE_PAIR *pair = self->vps; pair != NULL; pair = pair->next) {
        if (!pair->da->flags.encrypt || pair->data.ptr == NULL) continue;
        if (pair->da->type == PW_TYPE_STRING || pair->da->type == PW_TYPE_OCTETS) explicit_bzero(pair->data.ptr, pair->vp_length);
    }
    rad_free(&self);
}

bool gw_radius_add(gw_radius_packet *packet, uint32_t number, uint32_t vendor, const uint8_t *value, size_t count) {
    RADIUS_PACKET *self = unwrap(packet);
    const DICT_ATTR *attribute = dict_attrbyvalue(number, vendor);
    /* numbers and addresses go by their octets, which an attribute unknown to the dictionary takes as they are */
    bool is_text = attribute != NULL && (attribute->type == PW_TYPE_STRING || attribute->type == PW_TYPE_OCTETS) && !attribute->flags.has_tag;
    VALUE_PAIR *pair = NULL;
    if (is_text) {
        pair = fr_pair_afrom_da(self, attribute);
    } else {
        attribute = dict_unknown_afrom_fields(self, number, vendor);
        if (attribute != NULL) pair = fr_pair_afrom_da(self, attribute);
    }
    if (pair == NULL) return false;
    if (attribute->type == PW_TYPE_STRING) {
        fr_pair_value_bstrncpy(pair, value, count);
    } else {
        fr_pair_value_memcpy(pair, value, count);
    }
    fr_pair_add(&self->vps, pair);
    return true;
}

int gw_radius_encode(gw_radius_packet *packet, const uint8_t *request, const char *secret) {
    RADIUS_PACKET *self = unwrap(packet);
    RADIUS_PACKET original = request_with(request);
    RADIUS_PACKET *answered = request == NULL ? NULL : &original;
    if (rad_encode(self, answered, secret) < 0) return -1;
    return rad_sign(self, answered, secret) < 0 ? -1 : 0;
}

const uint8_t *gw_radius_octets(const gw_radius_packet *packet, size_t *count) {
    *count = unwrap_const(packet)->data_len;
    return unwrap_const(packet)->data;
}

int gw_radius_decode(gw_radius_packet *packet, const uint8_t *octets, size_t count, const uint8_t *request, const char *secret) {
    RADIUS_PACKET *self = unwrap(packet);
    RADIUS_PACKET original = request_with(request);
    self->data = talloc_memdup(self, octets, count);
    if (self->data == NULL) return -1;
    self->data_len = count;
    return rad_decode(self, request == NULL ? NULL : &original, secret) < 0 ? -1 : 0;
}

const gw_radius_pair *gw_radius_first(const gw_radius_packet *packet) { return (const gw_radius_pair *)unwrap_const(packet)->vps; }
const gw_radius_pair *gw_radius_next(const gw_radius_pair *pair) { return (const gw_radius_pair *)pair_of(pair)->next; }
uint32_t gw_radius_pair_number(const gw_radius_pair *pair) { return pair_of(pair)->da->attr; }
uint32_t gw_radius_pair_vendor(const gw_radius_pair *pair) { return pair_of(pair)->da->vendor; }
bool gw_radius_pair_is_raw(const gw_radius_pair *pair) { return pair_of(pair)->da->flags.is_unknown; }

const uint8_t *gw_radius_pair_value(const gw_radius_pair *pair, size_t *count) {
    const uint8_t *value = NULL;
    ssize_t length = rad_vp2data(&value, pair_of(pair));
    *count = length < 0 ? 0 : (size_t)length;
    return length < 0 ? NULL : value;
}

void gw_radius_md5(uint8_t digest[16], const uint8_t *octets, size_t count) { fr_md5_calc(digest, octets, count); }

void gw_radius_hmac_md5(uint8_t digest[16], const uint8_t *octets, size_t count, const uint8_t *key, size_t key_count) {
    fr_hmac_md5(digest, octets, count, key, key_count);
}

bool gw_radius_equal(const uint8_t *left, const uint8_t *right, size_t count) { return rad_digest_cmp(left, right, count) == 0; }
