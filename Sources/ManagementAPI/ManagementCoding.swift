internal import FoundationEssentials

/// JSON as the API writes it: sorted keys, RFC 3339 times in UTC, ASCII only, so that it is safe on any terminal.
package enum ManagementCoding {
    /// The JSON text of a value, over several lines when `pretty`; throws what the value's `encode(to:)` throws.
    package static func encode(_ value: some Encodable, pretty: Bool = false) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = pretty ? [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted] : [.sortedKeys, .withoutEscapingSlashes]
        return asciiOnly(try encoder.encode(value))
    }

    /// A value from JSON text; throws a `DecodingError`.
    package static func decode<Value: Decodable>(_: Value.Type = Value.self, from octets: [UInt8]) throws -> Value {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        return try decoder.decode(Value.self, from: Data(octets))
    }

    /// Non-ASCII stands in JSON only inside strings, where `\u` escapes mean the same.
    private static func asciiOnly(_ json: Data) -> [UInt8] {
        guard json.contains(where: { $0 >= 0x7f }) else { return [UInt8](json) }
        var text: [UInt8] = []
        text.reserveCapacity(json.count)
        for scalar in String(decoding: json, as: UTF8.self).unicodeScalars {
            if scalar.value < 0x7f {
                text.append(UInt8(truncatingIfNeeded: scalar.value))
            } else {
                for unit in String(scalar).utf16 {
                    let digits = String(unit, radix: 16)
                    text.append(contentsOf: ("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).utf8)
                }
            }
        }
        return text
    }
}
