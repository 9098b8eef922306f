import Glibc

/// What machine this is.
enum Machine {
    /// Processors this process may use.
    static var cores: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        let result = unsafe name.withUnsafeMutableBufferPointer { buffer -> Int32 in
            guard let base = buffer.baseAddress else { return -1 }
            return unsafe gethostname(base, buffer.count - 1)
        }
        guard result == 0 else { return "ipsec-gw" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// System and release, such as `Linux 6.1.0`.
    static var kernel: String {
        var names = utsname()
        guard unsafe uname(&names) == 0 else { return "unknown" }
        return "\(text(&names.sysname)) \(text(&names.release))"
    }

    private static func text<Characters>(_ field: inout Characters) -> String {
        unsafe withUnsafeBytes(of: &field) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
