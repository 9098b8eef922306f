package import Wire

/// One configuration attribute, RFC 7296 section 3.15.1.
package struct ConfigurationAttribute: Hashable, Sendable {
    package var type: ConfigurationAttributeType
    package var value: [UInt8]

    package init(type: ConfigurationAttributeType, value: [UInt8]) {
        self.type = type
        self.value = value
    }
}

/// Configuration payload, RFC 7296 section 3.15.
///
///     +---------------+-----------------------------------------------+
///     |   CFG Type    |                    RESERVED                   |
///     |                   Configuration Attributes                    |
///     +---------------------------------------------------------------+
package struct ConfigurationPayload: Hashable, Sendable {
    package var type: ConfigurationType
    package var attributes: [ConfigurationAttribute]

    package init(type: ConfigurationType, attributes: [ConfigurationAttribute]) {
        self.type = type
        self.attributes = attributes
    }

    package init(parsing body: inout RawSpan) throws(WireError) {
        type = ConfigurationType(rawValue: try body.next())
        try body.skip(3)
        attributes = []
        while !body.isEmpty {
            guard attributes.count < MessageLimits.configurationAttributes else { throw .tooMany }
            let type = ConfigurationAttributeType(rawValue: try body.next())
            let length = Int(try body.next(UInt16.self))
            attributes.append(ConfigurationAttribute(type: type, value: try body.octets(length)))
        }
    }

    package func encode(into message: inout [UInt8]) {
        message += [type.rawValue, 0, 0, 0]
        for attribute in attributes {
            message.append(bigEndian: attribute.type.rawValue)
            message.append(bigEndian: UInt16(clamping: attribute.value.count))
            message += attribute.value
        }
    }
}
