import CFreeRADIUS
import GatewayCrypto
import Synchronization
import Wire

/// The only user of libfreeradius. What 3.2.1 is: dictionaries are global hash tables, written while they load and only read after that;
/// `fr_strerror` is per thread (a pthread key); but `rad_alloc` and `rad_decode` stir one global random pool (`fr_rand`, `fr_rand_seed`)
/// and tunnel passwords count one global salt, without a lock. So every call goes through one lock: 10 to 20 us a packet. The pool's octets
/// are never used: authenticators come from our own `Entropy`. Every packet is freed where it was made; nothing of C leaves this file.
enum LibRADIUS {
    private struct Library: Sendable {
        var isLoaded = false
    }

    private static let library = Mutex(Library())

    // MARK: Dictionary

    /// Throws `.dictionary`.
    static func load(directory: String) throws(RADIUSError) {
        try library.withLock { library throws(RADIUSError) in
            guard !library.isLoaded else { return }
            guard unsafe gw_radius_load_dictionary(directory, "dictionary") == 0 else { throw .dictionary(reason()) }
            library.isLoaded = true
        }
    }

    static func name(of type: RADIUSAttributeType) -> String? {
        library.withLock { library in
            guard library.isLoaded, let name = unsafe gw_radius_attribute_name(type.number, type.vendor) else { return nil }
            return unsafe String(cString: name)
        }
    }

    static func type(named name: String) -> RADIUSAttributeType? {
        library.withLock { library in
            var number: UInt32 = 0
            var vendor: UInt32 = 0
            guard library.isLoaded, unsafe gw_radius_attribute_number(name, &number, &vendor) else { return nil }
            return RADIUSAttributeType(number, vendor: vendor)
        }
    }

    /// The error of this thread's last call, as the lock is still held.
    private static func reason() -> String {
        unsafe gw_radius_error().map { unsafe String(cString: $0) } ?? "unknown"
    }

    // MARK: Packets

    /// A packet's octets, signed; `request` is the authenticator of the request that a reply answers. Lengths are the caller's business:
    /// the library cuts off what is too long without a word. Throws `.dictionary`, `.unusableSecret`, `.library`.
    static func encode(
        _ code: RADIUSCode, identifier: UInt8, authenticator: [UInt8], attributes: [RADIUSAttribute], request: [UInt8]?, secret: Secret<[UInt8]>
    ) throws(RADIUSError) -> [UInt8] {
        let secret = try terminated(secret)
        return try library.withLock { library throws(RADIUSError) in
            guard library.isLoaded else { throw .dictionary("not loaded") }
            let packet = try unsafe packet(code, identifier, authenticator)
            defer { unsafe gw_radius_free(packet) }
            for attribute in attributes {
                let added = unsafe attribute.value.withUnsafeBufferPointer {
                    unsafe gw_radius_add(packet, attribute.type.number, attribute.type.vendor, $0.baseAddress, $0.count)
                }
                guard added else { throw .library(reason()) }
            }
            let encoded = try unsafe withRequest(request) { request throws(RADIUSError) in
                unsafe secret.withUnsafeBytes { secret in
                    unsafe gw_radius_encode(packet, request, secret.baseAddress?.assumingMemoryBound(to: CChar.self))
                }
            }
            var count = 0
            guard encoded == 0, let octets = unsafe gw_radius_octets(packet, &count) else { throw .library(reason()) }
            return unsafe [UInt8](UnsafeRawBufferPointer(start: octets, count: count))
        }
    }

    /// What a packet says. Lengths and authenticators were checked before: the library's parser sees only what knew the secret.
    struct Decoded: Sendable {
        var attributes: [RADIUSAttribute] = []
        var keys: MPPEKeys?
    }

    /// Throws `.dictionary`, `.unusableSecret`, `.library`, `.badKey`.
    static func decode(_ outline: PacketOutline, request: [UInt8]?, secret: Secret<[UInt8]>) throws(RADIUSError) -> Decoded {
        let secret = try terminated(secret)
        return try library.withLock { library throws(RADIUSError) in
            guard library.isLoaded else { throw .dictionary("not loaded") }
            let packet = try unsafe packet(outline.code, outline.identifier, outline.authenticator)
            defer { unsafe gw_radius_free(packet) }
            let decoded = try unsafe withRequest(request) { request throws(RADIUSError) in
                unsafe secret.withUnsafeBytes { secret in
                    unsafe outline.octets.withUnsafeBufferPointer { octets in
                        unsafe gw_radius_decode(
                            packet, octets.baseAddress, octets.count, request, secret.baseAddress?.assumingMemoryBound(to: CChar.self))
                    }
                }
            }
            guard decoded == 0 else { throw .library(reason()) }
            return try unsafe contents(of: packet, withKeys: outline.code == .accessAccept)
        }
    }

    /// Keys count in an Access-Accept only; elsewhere they are passed over.
    private static func contents(of packet: OpaquePointer, withKeys: Bool) throws(RADIUSError) -> Decoded {
        var result = Decoded()
        let keys = MPPEKeys.Collected()
        var pair = unsafe gw_radius_first(packet)
        while let current = unsafe pair {
            unsafe pair = gw_radius_next(current)
            let type = unsafe RADIUSAttributeType(gw_radius_pair_number(current), vendor: gw_radius_pair_vendor(current))
            var count = 0
            guard let start = unsafe gw_radius_pair_value(current, &count) else { continue }
            let value = unsafe UnsafeRawBufferPointer(start: start, count: count)
            if type == .msMPPERecvKey || type == .msMPPESendKey {
                guard withKeys else { continue }
                guard unsafe !gw_radius_pair_is_raw(current) else { throw .badKey }
                try unsafe keys.take(value, as: type)
            } else {
                result.attributes.append(RADIUSAttribute(type, unsafe [UInt8](value)))
            }
        }
        result.keys = try keys.finished()
        return result
    }

    private static func packet(_ code: RADIUSCode, _ identifier: UInt8, _ authenticator: [UInt8]) throws(RADIUSError) -> OpaquePointer {
        guard authenticator.count == 16 else { throw .library("an authenticator of \(authenticator.count) octets") }
        guard let packet = unsafe authenticator.withUnsafeBufferPointer({ unsafe gw_radius_new(code.rawValue, identifier, $0.baseAddress) })
        else { throw .library("no memory") }
        return unsafe packet
    }

    private static func withRequest<Result>(
        _ authenticator: [UInt8]?, _ body: (UnsafePointer<UInt8>?) throws(RADIUSError) -> Result
    ) throws(RADIUSError) -> Result {
        guard let authenticator else { return try body(nil) }
        guard authenticator.count == 16 else { throw .library("an authenticator of \(authenticator.count) octets") }
        return try unsafe authenticator.withUnsafeBufferPointer { octets throws(RADIUSError) in try unsafe body(octets.baseAddress) }
    }

    /// The secret as C wants it; throws `.unusableSecret`.
    private static func terminated(_ secret: Secret<[UInt8]>) throws(RADIUSError) -> SecretOctets {
        let octets = secret.revealed()
        guard !octets.isEmpty, !octets.contains(0) else { throw .unusableSecret }
        var result = SecretOctets(copying: octets)
        result.append([0])
        return result
    }

    // MARK: Digests

    /// MD5 over the octets followed by the secret (RFC 2865 section 3).
    static func md5(_ octets: [UInt8], secret: Secret<[UInt8]>) -> [UInt8] {
        var message = SecretOctets(copying: octets)
        message.append(secret.revealed())
        var digest = [UInt8](repeating: 0, count: 16)
        library.withLock { _ in
            unsafe message.withUnsafeBytes { message in
                unsafe gw_radius_md5(&digest, message.baseAddress?.assumingMemoryBound(to: UInt8.self), message.count)
            }
        }
        return digest
    }

    /// HMAC-MD5 keyed with the secret (RFC 3579 section 3.2).
    static func hmacMD5(_ octets: [UInt8], secret: Secret<[UInt8]>) -> [UInt8] {
        let key = secret.revealed()
        var digest = [UInt8](repeating: 0, count: 16)
        library.withLock { _ in unsafe gw_radius_hmac_md5(&digest, octets, octets.count, key, key.count) }
        return digest
    }

    /// Compares in a time that depends on the lengths only.
    static func isEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        return unsafe gw_radius_equal(left, right, left.count)
    }
}
