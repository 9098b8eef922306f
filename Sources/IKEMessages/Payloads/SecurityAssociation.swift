package import Wire

/// One transform of a proposal, RFC 7296 section 3.3.2.
package struct Transform: Hashable, Sendable {
    package var type: TransformType
    package var id: UInt16
    /// Key Length attribute, in bits (RFC 7296 section 3.3.5).
    package var keyLength: UInt16?
    /// Attributes we do not know: they make the transform unacceptable (section 3.3.6), and are kept for re-encoding.
    package var otherAttributes: [UInt8]

    package init(_ type: TransformType, id: UInt16, keyLength: UInt16? = nil) {
        self.type = type
        self.id = id
        self.keyLength = keyLength
        otherAttributes = []
    }

    package var unknownAttributes: Bool { !otherAttributes.isEmpty }

    ///     +---------------+---------------+-------------------------------+
    ///     | Last Substruc |   RESERVED    |        Transform Length       |
    ///     |Transform Type |   RESERVED    |          Transform ID         |
    ///     |                      Transform Attributes                     |
    ///     +---------------------------------------------------------------+
    init(parsing body: inout RawSpan) throws(WireError) {
        type = TransformType(rawValue: try body.next())
        try body.skip(1)
        id = try body.next()
        keyLength = nil
        otherAttributes = []
        var count = 0
        while !body.isEmpty {
            guard count < MessageLimits.attributesPerTransform else { throw .tooMany }
            count += 1
            let format = try body.next(UInt16.self)
            let value = try body.next(UInt16.self)
            if format == 0x800e, keyLength == nil, otherAttributes.isEmpty {
                keyLength = value
                continue
            }
            otherAttributes.append(bigEndian: format)
            otherAttributes.append(bigEndian: value)
            // The first bit clear: the value is a length, and that many octets follow (section 3.3.5).
            if format & 0x8000 == 0 { otherAttributes += try body.octets(Int(value)) }
        }
    }

    func encode(into message: inout [UInt8]) {
        message.append(type.rawValue)
        message.append(0)
        message.append(bigEndian: id)
        if let keyLength {
            message.append(bigEndian: UInt16(0x800e))
            message.append(bigEndian: keyLength)
        }
        message += otherAttributes
    }
}

/// One proposal, RFC 7296 section 3.3.1.
package struct Proposal: Hashable, Sendable {
    package var number: UInt8
    package var protocolID: SecurityProtocol
    /// Empty in IKE_SA_INIT, 8 octets in an IKE rekey, 4 octets for ESP and AH.
    package var spi: [UInt8]
    package var transforms: [Transform]

    package init(number: UInt8, protocolID: SecurityProtocol, spi: [UInt8], transforms: [Transform]) {
        self.number = number
        self.protocolID = protocolID
        self.spi = spi
        self.transforms = transforms
    }

    ///     +---------------+---------------+-------------------------------+
    ///     | Last Substruc |   RESERVED    |         Proposal Length       |
    ///     | Proposal Num  |  Protocol ID  |    SPI Size   |Num  Transforms|
    ///     |                        SPI (variable)                         |
    ///     |                        <Transforms>                           |
    ///     +---------------------------------------------------------------+
    init(parsing body: inout RawSpan) throws(WireError) {
        number = try body.next()
        protocolID = SecurityProtocol(rawValue: try body.next())
        let spiSize = Int(try body.next(UInt8.self))
        let count = Int(try body.next(UInt8.self))
        switch protocolID {
        case .ike: guard spiSize == 0 || spiSize == 8 else { throw .badLength }
        case .esp, .ah: guard spiSize == 4 else { throw .badLength }
        default: break
        }
        spi = try body.octets(spiSize)
        guard count > 0 else { throw .badValue }
        guard count <= MessageLimits.transformsPerProposal else { throw .tooMany }
        transforms = []
        for index in 0..<count {
            let more = try body.next(UInt8.self)
            guard more == (index + 1 < count ? 3 : 0) else { throw .badValue }
            try body.skip(1)
            let length = Int(try body.next(UInt16.self))
            guard length >= 8 else { throw .badLength }
            transforms.append(
                try body.nested(length - 4) { (part: inout RawSpan) throws(WireError) in try Transform(parsing: &part) })
        }
    }

    func encode(into message: inout [UInt8]) {
        message.append(number)
        message.append(protocolID.rawValue)
        message.append(UInt8(clamping: spi.count))
        message.append(UInt8(clamping: transforms.count))
        message += spi
        for (index, transform) in transforms.enumerated() {
            let start = message.count
            message += [index + 1 < transforms.count ? 3 : 0, 0, 0, 0]
            transform.encode(into: &message)
            message.patch(bigEndian: UInt16(clamping: message.count - start), at: start + 2)
        }
    }
}

/// Security Association payload, RFC 7296 section 3.3.
package struct SecurityAssociationPayload: Hashable, Sendable {
    package var proposals: [Proposal]

    package init(proposals: [Proposal]) {
        self.proposals = proposals
    }

    package init(parsing body: inout RawSpan) throws(WireError) {
        proposals = []
        var more: UInt8 = 2
        while more == 2 {
            guard proposals.count < MessageLimits.proposals else { throw .tooMany }
            more = try body.next()
            guard more == 0 || more == 2 else { throw .badValue }
            try body.skip(1)
            let length = Int(try body.next(UInt16.self))
            guard length >= 8 else { throw .badLength }
            let proposal = try body.nested(length - 4) { (part: inout RawSpan) throws(WireError) in try Proposal(parsing: &part) }
            proposals.append(proposal)
        }
    }

    package func encode(into message: inout [UInt8]) {
        for (index, proposal) in proposals.enumerated() {
            let start = message.count
            message += [index + 1 < proposals.count ? 2 : 0, 0, 0, 0]
            proposal.encode(into: &message)
            message.patch(bigEndian: UInt16(clamping: message.count - start), at: start + 2)
        }
    }
}
