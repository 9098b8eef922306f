import GatewayCrypto
import Wire

/// MD5-Challenge, RFC 3748 section 5.4: the server proves nothing, and there is no key.
struct MD5Challenge: PasswordMethod {
    let password: Secret<[UInt8]>
    private(set) var hasSucceeded = false
    var masterSessionKey: [UInt8]? { nil }

    init(password: Secret<[UInt8]>) {
        self.password = password
    }

    /// Value-Size | Value | Name -> the digest of identifier, password and value, RFC 1994 section 4.1.
    mutating func answer(_ data: [UInt8], identifier: UInt8) throws(EAPMethodFault) -> [UInt8] {
        // One challenge: a second one would be a second guess at what the first answer was made of.
        guard !hasSucceeded else { throw .unexpected }
        guard let size = data.first, size > 0, data.count > Int(size) else { throw .malformed }
        let value = data.dropFirst().prefix(Int(size))
        hasSucceeded = true
        return [16] + Digest.md5([identifier] + password.revealed() + value)
    }
}

/// Generic Token Card, RFC 3748 section 5.6, with the password as the token: who asks reads it.
struct GenericTokenCard: PasswordMethod {
    let password: Secret<[UInt8]>
    private(set) var hasSucceeded = false
    var masterSessionKey: [UInt8]? { nil }

    init(password: Secret<[UInt8]>) {
        self.password = password
    }

    /// A text to display, which nobody is there to read.
    mutating func answer(_ data: [UInt8], identifier: UInt8) throws(EAPMethodFault) -> [UInt8] {
        // We have one token only.
        guard !hasSucceeded else { throw .unexpected }
        hasSucceeded = true
        return password.revealed()
    }
}
