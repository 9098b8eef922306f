import Glibc

/// What machine this is.
enum Machine {
    /// Processors this process may use.
    static var cores: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        let result = unsafe name.withUnsafeMutableBufferPointer { unsafe gethostname($0.baseAddress, $0.count - 1) }
        guard result == 0 else { return "ipsec-gw" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
