import Foundation
import GatewayTesting
import Testing
import Wire

@testable import PKI

@Suite struct EncodingTests {
    static let times: [(Int, Int, Int, Int, Int, Int)] = [
        (1950, 1, 1, 0, 0, 0), (1969, 12, 31, 23, 59, 59), (1970, 1, 1, 0, 0, 0), (2000, 2, 29, 12, 0, 0), (2026, 11, 21, 12, 0, 0),
        (2049, 12, 31, 23, 59, 59), (2050, 1, 1, 0, 0, 0), (2100, 3, 1, 0, 0, 0), (9999, 12, 31, 23, 59, 59), (0, 1, 1, 0, 0, 0),
    ]

    @Test(arguments: times.indices) func RFC5280_4_1_2_5_times(_ index: Int) throws {
        let (year, month, day, hour, minute, second) = Self.times[index]
        let time = try #require(CertificateTime(year: year, month: month, day: day, hour: hour, minute: minute, second: second))
        // beside Foundation's calendar
        var calendar = Calendar(identifier: .iso8601)
        calendar.timeZone = try #require(TimeZone(secondsFromGMT: 0))
        if year > 1600 {
            let date = calendar.date(
                from: DateComponents(year: year, month: month, day: day, hour: hour, minute: minute, second: second))
            #expect(date?.timeIntervalSince1970 == Double(time.unixSeconds))
        }
        #expect(time.calendar == (year, month, day, hour, minute, second))
        var cursor = DERCursor(time.der)
        let element = try cursor.next()
        #expect(try CertificateTime(parsing: element, of: cursor) == time)
        #expect(element.tag == ((1950...2049).contains(year) ? 0x17 : 0x18))
    }

    @Test(arguments: [
        "2611211200Z", "261121120000", "261121120000+0000", "261321120000Z", "260230120000Z", "261121240000Z", "2611211200 0Z", "", "Z",
        "26112112000\u{660}Z",
    ]) func RFC5280_timesThatAreNone(_ text: String) throws {
        let octets = DERWriting.element(0x17, Array(text.utf8))
        var cursor = DERCursor(octets)
        let element = try cursor.next()
        #expect(throws: DERError.badValue) { try CertificateTime(parsing: element, of: cursor) }
    }

    @Test func RFC7468_text() throws {
        for count in [0, 1, 2, 3, 47, 48, 49, 1000] {
            let octets = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37) }
            #expect(PEM.encodeBase64(octets) == Array(Data(octets).base64EncodedData()))
            #expect(PEM.decodeBase64(PEM.encodeBase64(octets)) == octets)
            #expect(try PEM.blocks(Array(PEM.encode("X", octets).utf8)) == [PEM.Block(label: "X", octets: octets)])
        }
        for text in ["A", "AA", "AAA", "AAAA=", "AA=A", "A===", "=AAA", "AAB=", "AB==", "AA==AAAA", "AAA*", "AAAA===="] {
            #expect(PEM.decodeBase64(Array(text.utf8)) == nil, "\(text)")
        }
    }

    @Test func PKI_2_files() throws {
        let a = try TestCA("A").certificate
        let b = try TestCA("B").certificate
        let text = "Subject: some words before\r\n" + a.pem.replacingOccurrences(of: "\n", with: "\r\n") + "between\n" + b.pem
        #expect(try Certificate.all(inFile: Array(text.utf8)) == [a, b])
        #expect(try Certificate(file: Array(text.utf8)) == a)
        #expect(try Certificate(file: a.der) == a)
        #expect(throws: CertificateError.textEncoding(.missing)) { try Certificate(file: Array(PEM.encode("PRIVATE KEY", a.der).utf8)) }
        #expect(throws: CertificateError.textEncoding(.malformed)) { try Certificate(file: Array(a.pem.dropLast(10).utf8)) }
        #expect(throws: CertificateError.textEncoding(.malformed)) {
            try Certificate(file: Array(a.pem.replacingOccurrences(of: "M", with: "*").utf8))
        }
        #expect(throws: CertificateError.encoding(.truncated)) { try Certificate(file: []) }
        #expect(throws: CertificateError.textEncoding(.tooLarge)) {
            try Certificate(file: Array(a.pem.utf8) + [UInt8](repeating: 0x20, count: PEM.maximumSize))
        }
    }

    @Test func threat_C3_objectIdentifiers() throws {
        #expect(ObjectIdentifier(1, 2, 840, 113_549, 1, 1, 11).content == [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b])
        #expect(ObjectIdentifier(2, 5, 29, 37, 0).content == [0x55, 0x1d, 0x25, 0x00])
        for content in [[], [0x80], [0x2a, 0x80, 0x01], [0x2a, 0x86], [0x2a] + [UInt8](repeating: 0xff, count: 19) + [0x7f]] as [[UInt8]] {
            #expect(throws: DERError.badValue) { try ObjectIdentifier(content: content) }
        }
        #expect(throws: Never.self) { try ObjectIdentifier(content: [UInt8](repeating: 1, count: 31)) }
        #expect(throws: DERError.tooMany) { try ObjectIdentifier(content: [UInt8](repeating: 1, count: 32)) }
    }

    @Test func X690_numbers() throws {
        func integer(_ octets: [UInt8]) throws -> [UInt8] {
            let cursor = DERCursor(DERWriting.element(2, octets))
            var copy = cursor
            return try cursor.magnitude(copy.next())
        }
        #expect(try integer([0]) == [] && integer([0, 0x80]) == [0x80] && integer([0x7f]) == [0x7f])
        for octets in [[], [0, 1], [0x80], [0xff, 0x80]] as [[UInt8]] { #expect(throws: DERError.badValue) { try integer(octets) } }
        #expect(DERWriting.integer(0) == [2, 1, 0] && DERWriting.integer(128) == [2, 2, 0, 128] && DERWriting.integer([0, 0, 5]) == [2, 1, 5])
        #expect(DERWriting.octetString([UInt8](repeating: 0, count: 300)).prefix(4) == [4, 0x82, 1, 0x2c])
    }
}
