import CLinux
import Glibc
import Testing
import Wire

@testable import LinuxIO

@Suite struct SocketAddressTests {
    @Test(arguments: [
        ("192.0.2.1", UInt16(4500), "0200 1194 c0000201 0000000000000000"),
        ("0.0.0.0", 0, "0200 0000 00000000 0000000000000000"),
        ("255.255.255.255", 65535, "0200 ffff ffffffff 0000000000000000"),
        ("2001:db8::1", 500, "0a00 01f4 00000000 20010db8000000000000000000000001 00000000"),
        ("::ffff:192.0.2.1", 1, "0a00 0001 00000000 00000000000000000000ffffc0000201 00000000"),
        ("fe80::ff:1", 256, "0a00 0100 00000000 fe800000000000000000000000ff0001 00000000"),
    ])
    func endpointsAreTheKernelsOctets(address: String, port: UInt16, octets: String) throws {
        let endpoint = Endpoint(try #require(IPAddress(address)), port: port)
        var memory = [UInt8](repeating: 0xaa, count: SocketAddress.size)
        let length = memory.withUnsafeMutableBytes { SocketAddress.store(endpoint, at: $0.baseAddress!) }
        var expected = try #require([UInt8](hexadecimal: octets))
        if UInt16(1).littleEndian != 1 { expected.swapAt(0, 1) }
        #expect(Array(memory.prefix(Int(length))) == expected)
        let back = memory.withUnsafeBytes { SocketAddress.load(from: $0.baseAddress!, length: length) }
        #expect(back == endpoint)
        let short = memory.withUnsafeBytes { SocketAddress.load(from: $0.baseAddress!, length: length - 1) }
        #expect(short == nil)
    }

    @Test func randomEndpointsSurvive() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = Seeded(seed)
        var memory = [UInt8](repeating: 0, count: SocketAddress.size)
        for _ in 0..<10_000 {
            let family: AddressFamily = Bool.random(using: &random) ? .ipv4 : .ipv6
            let value = UInt128(random.next()) << 64 | UInt128(random.next())
            let endpoint = Endpoint(IPAddress(family: family, value: value), port: UInt16.random(in: 0...65535, using: &random))
            let back = memory.withUnsafeMutableBytes {
                let length = SocketAddress.store(endpoint, at: $0.baseAddress!)
                return SocketAddress.load(from: $0.baseAddress!, length: length)
            }
            #expect(back == endpoint, "seed \(seed)")
        }
    }

    @Test func otherFamiliesAreNoEndpoint() {
        var memory = [UInt8](repeating: 0, count: 32)
        memory[0] = UInt8(AF_UNIX)
        let unix = memory.withUnsafeBytes { SocketAddress.load(from: $0.baseAddress!, length: 28) }
        let nothing = memory.withUnsafeBytes { SocketAddress.load(from: $0.baseAddress!, length: 0) }
        #expect(unix == nil && nothing == nil)
    }
}
