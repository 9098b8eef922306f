package import Wire

/// Which sessions an operator means: by session id, authenticated name, identity, inner address, or the client's outer address.
package struct SessionSelector: Hashable, Sendable {
    package let text: String

    /// A selector of 1 to 256 octets, else nil.
    package init?(_ text: String) {
        guard (1...EscapedText.limit).contains(text.utf8.count) else { return nil }
        self.text = text
    }

    /// Whether a session with these properties is meant. Names compare octet by octet as they are shown, addresses by value.
    package func matches(
        id: String, name: String, identity: String, innerAddresses: [IPAddress], remote: Endpoint
    ) -> Bool {
        if [id, name, identity, remote.description].contains(where: { $0.utf8.elementsEqual(text.utf8) }) { return true }
        guard let address = IPAddress(text) else { return false }
        return remote.address == address || innerAddresses.contains(address)
    }
}

extension SessionSelector: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let selector = SessionSelector(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "a selector has 1 to \(EscapedText.limit) octets")
        }
        self = selector
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
