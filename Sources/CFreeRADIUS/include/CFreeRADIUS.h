/* libfreeradius for Swift: dictionaries, encoding, signing, decoding, digests. The library's own headers stay behind the .c file.
   Nothing here may run twice at a time: RADIUS/LibRADIUS.swift, the only caller, sees to that. */
#ifndef GW_FREERADIUS_H
#define GW_FREERADIUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gw_radius_packet gw_radius_packet;
typedef struct gw_radius_pair gw_radius_pair;

/* Dictionaries: global, loaded once, read-only after that. 0, or -1 with an error. */
int gw_radius_load_dictionary(const char *directory, const char *file);
int gw_radius_read_dictionary(const char *directory, const char *file);
/* Why the last call of this thread failed; valid until the next call. */
const char *gw_radius_error(void);
/* The attribute's name, or NULL when no dictionary has it. */
const char *gw_radius_attribute_name(uint32_t number, uint32_t vendor);
bool gw_radius_attribute_number(const char *name, uint32_t *number, uint32_t *vendor);

/* A packet and everything in it is one talloc tree; NULL when there is no memory. Free each one: secret values are wiped. */
gw_radius_packet *gw_radius_new(uint8_t code, uint8_t identifier, const uint8_t authenticator[16]);
void gw_radius_free(gw_radius_packet *packet);
/* Appends an attribute by its octets; User-Password in clear, it is hidden by encode. False when there is no memory. */
bool gw_radius_add(gw_radius_packet *packet, uint32_t number, uint32_t vendor, const uint8_t *value, size_t count);
/* Encodes and signs; `request` is the authenticator of the request that a reply answers, else NULL. 0, or -1 with an error. */
int gw_radius_encode(gw_radius_packet *packet, const uint8_t *request, const char *secret);
const uint8_t *gw_radius_octets(const gw_radius_packet *packet, size_t *count);
/* Decodes octets whose lengths and authenticators the caller has checked. 0, or -1 with an error. */
int gw_radius_decode(gw_radius_packet *packet, const uint8_t *octets, size_t count, const uint8_t *request, const char *secret);
const gw_radius_pair *gw_radius_first(const gw_radius_packet *packet);
const gw_radius_pair *gw_radius_next(const gw_radius_pair *pair);
uint32_t gw_radius_pair_number(const gw_radius_pair *pair);
uint32_t gw_radius_pair_vendor(const gw_radius_pair *pair);
/* Not decoded by the dictionary: the octets are as they were on the wire, hidden ones still hidden. */
bool gw_radius_pair_is_raw(const gw_radius_pair *pair);
/* The value in network order, owned by the packet; NULL when it has none. */
const uint8_t *gw_radius_pair_value(const gw_radius_pair *pair, size_t *count);

void gw_radius_md5(uint8_t digest[16], const uint8_t *octets, size_t count);
void gw_radius_hmac_md5(uint8_t digest[16], const uint8_t *octets, size_t count, const uint8_t *key, size_t key_count);
/* In a time that depends on the count only. */
bool gw_radius_equal(const uint8_t *left, const uint8_t *right, size_t count);

#endif
