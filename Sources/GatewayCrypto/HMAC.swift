/// HMAC, RFC 2104, keyed once: the padded keys are kept and one digest context is set back for each message, so that nothing is allocated
/// per call. (The library's own HMAC duplicates two contexts on the heap per message.)
@safe struct HMAC: ~Copyable, Sendable {
    /// Octets of a result.
    let outputLength: Int
    private let blockLength: Int
    private var context: DigestContext
    /// Inner pad | outer pad | inner digest | result; behind its own owner so that it is wiped.
    private let scratch: SecretOctets

    /// A key of any length is taken; throws `.library`.
    init(_ function: HashFunction, key: borrowing SecretOctets) throws(CryptoError) {
        let context = try DigestContext(function)
        let scratch = try Self.pads(function, key: key)
        outputLength = function.outputLength
        blockLength = function.blockLength
        self.context = context
        self.scratch = scratch
    }

    private static func pads(_ function: HashFunction, key: borrowing SecretOctets) throws(CryptoError) -> SecretOctets {
        let block = function.blockLength
        var scratch = SecretOctets(count: 2 * block + 2 * function.outputLength)
        let done = unsafe scratch.withUnsafeMutableBytes { octets in
            let taken = unsafe key.withUnsafeBytes { key in
                if key.count > block {
                    return unsafe LibCrypto.digest(function, key, into: .init(rebasing: octets[..<function.outputLength]))
                }
                unsafe octets.copyMemory(from: key)
                return true
            }
            for index in 0..<block {
                unsafe octets[block + index] = octets[index] ^ 0x5c
                unsafe octets[index] ^= 0x36
            }
            return taken
        }
        guard done else { throw .library }
        return scratch
    }

    /// Starts a message; false when the library refuses.
    @_noLocks mutating func begin() -> Bool {
        unsafe context.restart() && context.absorb(UnsafeRawBufferPointer(start: scratch.base, count: blockLength))
    }

    /// Takes the next part of the message.
    @_noLocks mutating func absorb(_ part: UnsafeRawBufferPointer) -> Bool {
        unsafe context.absorb(part)
    }

    /// Ends the message; the result waits for `copyResult` or `resultBegins`.
    @_noLocks mutating func finish() -> Bool {
        let inner = unsafe UnsafeMutableRawBufferPointer(start: scratch.base + 2 * blockLength, count: outputLength)
        return unsafe context.finish(into: inner) && context.restart()
            && context.absorb(UnsafeRawBufferPointer(start: scratch.base + blockLength, count: blockLength))
            && context.absorb(UnsafeRawBufferPointer(inner))
            && context.finish(into: UnsafeMutableRawBufferPointer(start: result, count: outputLength))
    }

    /// Copies the first octets of the result; false when there are not as many.
    @_noLocks func copyResult(into octets: UnsafeMutableRawBufferPointer) -> Bool {
        unsafe LibCrypto.copyPrefix(UnsafeRawBufferPointer(start: result, count: outputLength), into: octets)
    }

    /// Whether the result begins with these octets; constant time.
    @_noLocks func resultBegins(with octets: UnsafeRawBufferPointer) -> Bool {
        unsafe LibCrypto.isPrefix(octets, of: UnsafeRawBufferPointer(start: result, count: outputLength))
    }

    private var result: UnsafeMutableRawPointer {
        unsafe scratch.base + 2 * blockLength + outputLength
    }
}

/// HMAC-SHA-256 over several parts with one key, for the door's cookies (RFC 7296 section 2.6); allocates nothing per call.
package struct KeyedHMAC: ~Copyable, Sendable {
    private var mac: HMAC

    /// Throws `.library`.
    package init(sha256 key: borrowing SecretOctets) throws(CryptoError) {
        mac = try HMAC(.sha256, key: key)
    }

    /// The MAC over the parts in their order, into 32 octets (or fewer: its beginning); false when `into` is longer.
    @_noLocks package mutating func compute(
        _ first: UnsafeRawBufferPointer,
        _ second: UnsafeRawBufferPointer = unsafe UnsafeRawBufferPointer(start: nil, count: 0),
        _ third: UnsafeRawBufferPointer = unsafe UnsafeRawBufferPointer(start: nil, count: 0),
        _ fourth: UnsafeRawBufferPointer = unsafe UnsafeRawBufferPointer(start: nil, count: 0),
        _ fifth: UnsafeRawBufferPointer = unsafe UnsafeRawBufferPointer(start: nil, count: 0),
        into octets: UnsafeMutableRawBufferPointer
    ) -> Bool {
        unsafe mac.begin() && mac.absorb(first) && mac.absorb(second) && mac.absorb(third) && mac.absorb(fourth)
            && mac.absorb(fifth) && mac.finish() && mac.copyResult(into: octets)
    }
}
