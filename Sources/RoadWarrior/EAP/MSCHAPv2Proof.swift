package import GatewayCrypto

/// What one pair of challenges and a password come to: RFC 2759 section 8 and RFC 3079 section 3.
package struct MSCHAPv2Proof {
    /// NT-Response.
    package let response: [UInt8]
    /// What a server that knows the password says in return, 20 octets.
    package let authenticatorResponse: [UInt8]
    /// MS-MPPE-Recv-Key and MS-MPPE-Send-Key of the server, zeros up to 64 octets; the server receives by what we send by.
    package let masterSessionKey: [UInt8]
    let masterKey: [UInt8]

    /// Challenges of 16 octets; name and password in UTF-8, the name as it is sent. Throws `CryptoError`.
    package init(challenge: [UInt8], peerChallenge: [UInt8], name: [UInt8], password: [UInt8]) throws(CryptoError) {
        guard challenge.count == 16, peerChallenge.count == 16 else { throw .badLength }
        let hash = try Self.passwordHash(password)
        let hashHash = try Digest.md4(hash)
        // A domain before the name is no part of what is hashed (section 8.2).
        let user = name.split(separator: UInt8(ascii: "\\"), maxSplits: 1, omittingEmptySubsequences: false).last.map(Array.init) ?? []
        let short = Array(Digest.sha1(peerChallenge + challenge + user).prefix(8))
        let key = hash + [UInt8](repeating: 0, count: 5)
        var response: [UInt8] = []
        for part in [0..<7, 7..<14, 14..<21] { response += try DES.encrypt(short, key: Array(key[part])) }
        self.response = response
        authenticatorResponse = Digest.sha1(Digest.sha1(hashHash + response + Self.signing) + short + Self.iteration)
        masterKey = Array(Digest.sha1(hashHash + response + Self.master).prefix(16))
        masterSessionKey =
            Self.startKey(masterKey, Self.clientSends) + Self.startKey(masterKey, Self.clientReceives) + [UInt8](repeating: 0, count: 32)
    }

    /// MD4 over UTF-16, least significant octet first (section 8.3).
    static func passwordHash(_ password: [UInt8]) throws(CryptoError) -> [UInt8] {
        let units = String(decoding: password, as: UTF8.self).utf16
        return try Digest.md4(units.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] })
    }

    /// GetAsymmetricStartKey, RFC 3079 section 3.4, with 128 bits.
    static func startKey(_ master: [UInt8], _ words: [UInt8]) -> [UInt8] {
        let pads = ([UInt8](repeating: 0, count: 40), [UInt8](repeating: 0xf2, count: 40))
        return Array(Digest.sha1(master + pads.0 + words + pads.1).prefix(16))
    }

    private static let signing = Array("Magic server to client signing constant".utf8)
    private static let iteration = Array("Pad to make it do more than one iteration".utf8)
    private static let master = Array("This is the MPPE Master Key".utf8)
    static let clientSends = Array("On the client side, this is the send key; on the server side, it is the receive key.".utf8)
    static let clientReceives = Array("On the client side, this is the receive key; on the server side, it is the send key.".utf8)
}
