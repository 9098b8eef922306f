import GatewayCrypto
import IKEMessages
package import Wire

/// Where the nonce and a leading cookie lie in an IKE_SA_INIT request; found without parsing anything else.
struct InitGlance {
    var nonce: Range<Int> = 0..<0
    /// Only a COOKIE that is the first payload counts (RFC 7296 section 2.6).
    var cookie: Range<Int>?

    /// nil when the chain of payloads is broken or has no nonce.
    init?(first: PayloadType, _ body: borrowing RawSpan) {
        var rest = copy body
        var type = first
        var offset = 0
        var seen = 0
        while type.rawValue != 0 {
            guard seen < 64, let next = try? rest.next(UInt8.self), (try? rest.next(UInt8.self)) != nil,
                let length = try? rest.next(UInt16.self), length >= 4, (try? rest.skip(Int(length) - 4)) != nil
            else { return nil }
            let content = offset + 4..<offset + Int(length)
            if type == .nonce { nonce = content }
            if type == .notify, seen == 0 { cookie = Self.cookie(body, content) }
            type = PayloadType(rawValue: next)
            offset += Int(length)
            seen += 1
        }
        guard (16...256).contains(nonce.count) else { return nil }
    }

    private static func cookie(_ body: borrowing RawSpan, _ content: Range<Int>) -> Range<Int>? {
        var notify = body.extracting(content)
        guard (try? notify.next(UInt8.self)) != nil, let spiSize = try? notify.next(UInt8.self), spiSize == 0,
            let type = try? notify.next(UInt16.self), NotifyType(rawValue: type) == .cookie, (1...64).contains(notify.byteCount)
        else { return nil }
        return content.upperBound - notify.byteCount..<content.upperBound
    }
}

/// Cookies without state: version octet | HMAC(secret, Ni, IPi, SPIi), the secret changed every two minutes and the one before it still accepted
/// (RFC 7296 section 2.6, threats.md P1).
struct CookieSecrets: ~Copyable, Sendable {
    private var current: KeyedHMAC
    private var previous: KeyedHMAC
    private var version: UInt8 = 0
    private var changed: Instant
    private let entropy: any Entropy

    static let lifetime = Duration.seconds(120)
    static let length = 17

    init(entropy: any Entropy, at now: Instant) throws(CryptoError) {
        let first = try KeyedHMAC(sha256: entropy.secret(32))
        let second = try KeyedHMAC(sha256: entropy.secret(32))
        current = first
        previous = second
        changed = now
        self.entropy = entropy
    }

    mutating func make(nonce: ArraySlice<UInt8>, spi: IKESPI, address: IPAddress, at now: Instant) -> [UInt8]? {
        rotate(at: now)
        return Self.value(&current, version: version, nonce: nonce, spi: spi, address: address)
    }

    mutating func accepts(_ cookie: ArraySlice<UInt8>, nonce: ArraySlice<UInt8>, spi: IKESPI, address: IPAddress, at now: Instant) -> Bool {
        rotate(at: now)
        guard cookie.count == Self.length, let first = cookie.first else { return false }
        let expected: [UInt8]?
        switch first {
        case version: expected = Self.value(&current, version: version, nonce: nonce, spi: spi, address: address)
        case version &- 1: expected = Self.value(&previous, version: version &- 1, nonce: nonce, spi: spi, address: address)
        default: expected = nil
        }
        guard let expected else { return false }
        return SecretOctets(copying: expected).isEqual(to: Array(cookie))
    }

    private mutating func rotate(at now: Instant) {
        guard now - changed >= Self.lifetime, let next = try? KeyedHMAC(sha256: entropy.secret(32)) else { return }
        // After a long silence the old secret is too old to be the previous one, but then nothing it made can be under way either.
        previous = exchange(&current, with: next)
        version &+= 1
        changed = now
    }

    private static func value(
        _ mac: inout KeyedHMAC, version: UInt8, nonce: ArraySlice<UInt8>, spi: IKESPI, address: IPAddress
    ) -> [UInt8]? {
        // Of known length each, so that no nonce can take the place of an address.
        var input: [UInt8] = [UInt8(address.octets.count)]
        input += address.octets
        input.append(bigEndian: spi)
        input += nonce
        var digest = [UInt8](repeating: 0, count: 32)
        let done = unsafe input.withUnsafeBytes { text in
            unsafe digest.withUnsafeMutableBytes { unsafe mac.compute(text, into: $0) }
        }
        return done ? [version] + digest.prefix(length - 1) : nil
    }
}

/// How often strangers get error notifies: a bucket per source and one for all (threats.md C10, P9).
package struct ErrorLimit: Sendable {
    private var buckets: [IPAddress: (tokens: Int, since: Instant)] = [:]
    private var all: (tokens: Int, since: Instant)

    static let perSource = 5
    static let total = 200
    static let period = Duration.seconds(1)
    static let mostSources = 4096

    package init(at now: Instant) {
        all = (Self.total, now)
    }

    package mutating func admits(_ source: IPAddress, at now: Instant) -> Bool {
        if now - all.since >= Self.period {
            all = (Self.total, now)
            buckets.removeAll(keepingCapacity: true)
        }
        guard all.tokens > 0 else { return false }
        var bucket = buckets[source] ?? (Self.perSource, now)
        guard bucket.tokens > 0, buckets[source] != nil || buckets.count < Self.mostSources else { return false }
        bucket.tokens -= 1
        buckets[source] = bucket
        all.tokens -= 1
        return true
    }
}
