/// What MACs and PRFs are made of.
enum MACFunction: Hashable, Sendable {
    case hmac(HashFunction)
    /// RFC 3566, RFC 4434.
    case aesXCBC

    /// Octets of a key: as long as the hash with HMAC (RFC 4868 section 2.1.1).
    var keyLength: Int {
        switch self {
        case .hmac(let function): function.outputLength
        case .aesXCBC: XCBC.blockLength
        }
    }

    /// Octets of a result.
    var outputLength: Int {
        switch self {
        case .hmac(let function): function.outputLength
        case .aesXCBC: XCBC.blockLength
        }
    }
}

/// A MAC keyed once; one of the two is there.
struct MAC: ~Copyable, Sendable {
    private var hmac: HMAC?
    private var xcbc: XCBC?

    /// A key of any length is taken: HMAC pads or hashes it, XCBC does as RFC 4434 says. Throws `.library`.
    init(_ function: MACFunction, key: borrowing SecretOctets) throws(CryptoError) {
        switch function {
        case .hmac(let hash):
            hmac = try HMAC(hash, key: key)
            xcbc = nil
        case .aesXCBC:
            hmac = nil
            xcbc = try XCBC(key: key)
        }
    }

    /// Starts a message; false when the library refuses.
    @_noLocks mutating func begin() -> Bool { hmac?.begin() ?? xcbc?.begin() ?? false }

    /// Takes the next part of the message.
    @_noLocks mutating func absorb(_ part: UnsafeRawBufferPointer) -> Bool {
        unsafe hmac?.absorb(part) ?? xcbc?.absorb(part) ?? false
    }

    /// Ends the message; the result waits for `copyResult` or `resultBegins`.
    @_noLocks mutating func finish() -> Bool { hmac?.finish() ?? xcbc?.finish() ?? false }

    /// Copies the first octets of the result; false when there are not as many.
    @_noLocks func copyResult(into octets: UnsafeMutableRawBufferPointer) -> Bool {
        unsafe hmac?.copyResult(into: octets) ?? xcbc?.copyResult(into: octets) ?? false
    }

    /// Whether the result begins with these octets; constant time.
    @_noLocks func resultBegins(with octets: UnsafeRawBufferPointer) -> Bool {
        unsafe hmac?.resultBegins(with: octets) ?? xcbc?.resultBegins(with: octets) ?? false
    }
}
