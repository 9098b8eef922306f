package import Wire

/// A packet: what it is and its attributes in their order. A Message-Authenticator is made and checked here and is not among them.
package struct RADIUSPacket: Sendable {
    package let code: RADIUSCode
    package let identifier: UInt8
    /// 16 octets. Of a request that is signed and of a reply, the value is made in encoding.
    package let authenticator: [UInt8]
    package let attributes: [RADIUSAttribute]
    /// The MS-MPPE keys of an Access-Accept; they are not among the attributes.
    package let keys: MPPEKeys?
    /// Whether a Message-Authenticator was there, and so was right.
    package let hadMessageAuthenticator: Bool

    package init(_ code: RADIUSCode, identifier: UInt8, authenticator: [UInt8] = [UInt8](repeating: 0, count: 16), attributes: [RADIUSAttribute]) {
        self.code = code
        self.identifier = identifier
        self.authenticator = authenticator
        self.attributes = attributes
        keys = nil
        hadMessageAuthenticator = false
    }

    /// The first attribute of the type.
    package func first(_ type: RADIUSAttributeType) -> RADIUSAttribute? { attributes.first { $0.type == type } }

    /// All attributes of the type, in their order.
    package func all(_ type: RADIUSAttributeType) -> [RADIUSAttribute] { attributes.filter { $0.type == type } }

    /// Whether a secret can be used at all: not empty, no octet of zero.
    package static func isUsable(_ secret: [UInt8]) -> Bool { !secret.isEmpty && !secret.contains(0) }

    /// The authenticator of encoded octets: what the reply to a signed request is checked with.
    package static func authenticator(of octets: [UInt8]) -> [UInt8] {
        octets.count >= 20 ? Array(octets[4..<20]) : []
    }
}

// MARK: - Encoding

extension RADIUSPacket {
    /// The octets, signed: Message-Authenticator first where the code carries one (X-4, CVE-2024-3596), User-Password hidden, EAP messages in
    /// attributes of 253 octets. `request` is the authenticator of the request that a reply answers. Attributes without a value are left out
    /// (RFC 2865 section 5). Throws `.valueTooLong`, `.packetTooLong`, `.unusableSecret`, `.dictionary`, `.library`.
    package func encode(secret: Secret<[UInt8]>, request: [UInt8]? = nil, signed: Bool? = nil) throws(RADIUSError) -> [UInt8] {
        var written: [RADIUSAttribute] = []
        if signed ?? code.carriesMessageAuthenticator {
            written.append(RADIUSAttribute(.messageAuthenticator, [UInt8](repeating: 0, count: 16)))
        }
        written += attributes.filter { !$0.value.isEmpty && $0.type != .messageAuthenticator }
        var length = PacketOutline.lengths.lowerBound
        for attribute in written { length += try Self.encodedLength(attribute) }
        guard length <= PacketOutline.lengths.upperBound else { throw .packetTooLong }
        let octets = try LibRADIUS.encode(
            code, identifier: identifier, authenticator: authenticator, attributes: written, request: request, secret: secret)
        // the library leaves out what it cannot encode: never send a packet that says less than it should
        guard octets.count == length else { throw .library("\(octets.count) octets for \(length)") }
        guard code.isDynamicAuthorizationReply, let request, written.first?.type == .messageAuthenticator else { return octets }
        return Self.signedOver(request, octets, secret: secret)
    }

    /// RFC 5176 section 3.4 wants the request's authenticator in the Message-Authenticator of an answer; libfreeradius 3.2.1 signs over zeros,
    /// and refuses what it signed. The attribute is the first.
    private static func signedOver(_ request: [UInt8], _ octets: [UInt8], secret: Secret<[UInt8]>) -> [UInt8] {
        guard octets.count >= 38, request.count == 16 else { return octets }
        var signed = octets[..<4] + request + octets[20..<22] + [UInt8](repeating: 0, count: 16) + octets[38...]
        signed.replaceSubrange(22..<38, with: LibRADIUS.hmacMD5(Array(signed), secret: secret))
        signed.replaceSubrange(4..<20, with: LibRADIUS.md5(Array(signed), secret: secret))
        return Array(signed)
    }

    /// Octets of an attribute with its headers; throws `.valueTooLong`.
    private static func encodedLength(_ attribute: RADIUSAttribute) throws(RADIUSError) -> Int {
        let count = attribute.value.count
        switch attribute.type {
        case .eapMessage:
            guard count <= PacketOutline.lengths.upperBound else { throw .valueTooLong(.eapMessage) }
            return count + 2 * ((count + 252) / 253)
        case .userPassword:
            // RFC 2865 section 5.2: padded to a multiple of 16, at most 128
            guard count <= 128, attribute.value.last != 0 else { throw .valueTooLong(.userPassword) }
            return 2 + (count + 15) / 16 * 16
        case .msMPPESendKey, .msMPPERecvKey:
            // RFC 2548 section 2.4: salt, length, padding to a multiple of 16
            guard count <= 224 else { throw .valueTooLong(attribute.type) }
            return 10 + (count + 16) / 16 * 16
        default:
            guard count <= attribute.type.maximumLength else { throw .valueTooLong(attribute.type) }
            return count + (attribute.type.vendor == 0 ? 2 : 8)
        }
    }
}

// MARK: - Decoding

extension RADIUSPacket {
    /// A packet from a datagram. Lengths are checked first, then who sent it, and only then does libfreeradius decode it.
    /// `request` is the authenticator of the request that a reply answers; a request is checked by itself. A packet with an EAP-Message needs
    /// a Message-Authenticator in any case (RFC 3579 section 3.2). Throws the lower two groups of RADIUSError, `.library`, `.unusableSecret`.
    package init(
        decoding datagram: [UInt8], secret: Secret<[UInt8]>, request: [UInt8]? = nil, requiresMessageAuthenticator: Bool
    ) throws(RADIUSError) {
        guard Self.isUsable(secret.revealed()) else { throw .unusableSecret }
        let outline = try PacketOutline(parsing: datagram)
        guard !outline.code.isReply || request?.count == 16 else { throw .badAuthenticator }
        try outline.checkMessageAuthenticator(secret: secret, request: request, isRequired: requiresMessageAuthenticator)
        try outline.checkAuthenticator(secret: secret, request: request)
        if let error = outline.contentError { throw error }
        let decoded = try LibRADIUS.decode(outline, request: request, secret: secret)
        code = outline.code
        identifier = outline.identifier
        authenticator = outline.authenticator
        attributes = decoded.attributes.filter { $0.type != .messageAuthenticator }
        keys = decoded.keys
        hadMessageAuthenticator = outline.messageAuthenticator != nil
    }
}

extension PacketOutline {
    /// RFC 2865 section 3, RFC 2866 section 3, RFC 5176 section 2.3; an Access-Request's is random. Throws `.badAuthenticator`.
    func checkAuthenticator(secret: Secret<[UInt8]>, request: [UInt8]?) throws(RADIUSError) {
        guard code.isReply || code.isSignedRequest else { return }
        let signed = withAuthenticator(code.isReply ? request ?? [] : [UInt8](repeating: 0, count: 16))
        guard LibRADIUS.isEqual(LibRADIUS.md5(signed, secret: secret), authenticator) else { throw .badAuthenticator }
    }

    /// RFC 3579 section 3.2, RFC 5176 section 2.3. Throws `.missingMessageAuthenticator`, `.badMessageAuthenticator`.
    func checkMessageAuthenticator(secret: Secret<[UInt8]>, request: [UInt8]?, isRequired: Bool) throws(RADIUSError) {
        guard let place = messageAuthenticator else {
            guard !isRequired, !hasEAPMessage else { throw .missingMessageAuthenticator }
            return
        }
        let zero = [UInt8](repeating: 0, count: 16)
        let over: [[UInt8]] =
            switch code {
            case .accessRequest, .statusServer: [authenticator]
            case _ where code.isAccessReply: [request ?? zero]
            // RFC 5176 computes an answer's over the request's authenticator, FreeRADIUS 3.2 over zeros; no RFC gives accounting one
            case _ where code.isReply: [request ?? zero, zero]
            default: [zero]
            }
        let received = Array(octets[place..<place + 16])
        let fits = over.contains { authenticator in
            var signed = withAuthenticator(authenticator)
            signed.replaceSubrange(place..<place + 16, with: zero)
            return LibRADIUS.isEqual(LibRADIUS.hmacMD5(signed, secret: secret), received)
        }
        guard fits else { throw .badMessageAuthenticator }
    }

    private func withAuthenticator(_ authenticator: [UInt8]) -> [UInt8] {
        octets[..<4] + authenticator + octets[20...]
    }
}
