import Testing
import Wire

extension HMACVector {
    /// HMAC-MD5 of RFC 2202 section 2; AES-XCBC of RFC 3566 (whole results) and RFC 4434.
    static let named: [HMACVector] = [
        HMACVector(
            name: "RFC 2202 section 2 case 1", prf: .hmacMD5,
            key: "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
            data: "4869205468657265",
            result: "9294727a3638bb1c13f48ef8158bfc9d"),
        HMACVector(
            name: "RFC 2202 section 2 case 2", prf: .hmacMD5,
            key: "4a656665",
            data: "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
            result: "750c783e6ab0b503eaa86e310a5db738"),
        HMACVector(
            name: "RFC 2202 section 2 case 3", prf: .hmacMD5,
            key: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            data: "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
            result: "56be34521d144c88dbb8c733f0e8b3f6"),
        HMACVector(
            name: "RFC 2202 section 2 case 4", prf: .hmacMD5,
            key: "0102030405060708090a0b0c0d0e0f10111213141516171819",
            data: "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
            result: "697eaf0aca3a3aea3a75164746ffaa79"),
        HMACVector(
            name: "RFC 2202 section 2 case 5", prf: .hmacMD5,
            key: "0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c",
            data: "546573742057697468205472756e636174696f6e",
            result: "56461ef2342edc00f9bab995690efd4c"),
        HMACVector(
            name: "RFC 2202 section 2 case 6", prf: .hmacMD5,
            key: """
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                """,
            data: """
                54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b65792046
                69727374
                """,
            result: "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"),
        HMACVector(
            name: "RFC 2202 section 2 case 7", prf: .hmacMD5,
            key: """
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                """,
            data: """
                54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b657920616e64204c61726765722054
                68616e204f6e6520426c6f636b2d53697a652044617461
                """,
            result: "6f630fad67cda0ee1fb1f562db3aa53e"),
        HMACVector(
            name: "RFC 3566 section 4.6 case 1", prf: .aesXCBC,
            key: "000102030405060708090a0b0c0d0e0f",
            data: "",
            result: "75f0251d528ac01c4573dfd584d79f29"),
        HMACVector(
            name: "RFC 3566 section 4.6 case 2", prf: .aesXCBC,
            key: "000102030405060708090a0b0c0d0e0f",
            data: "000102",
            result: "5b376580ae2f19afe7219ceef172756f"),
        HMACVector(
            name: "RFC 3566 section 4.6 case 3", prf: .aesXCBC,
            key: "000102030405060708090a0b0c0d0e0f",
            data: "000102030405060708090a0b0c0d0e0f",
            result: "d2a246fa349b68a79998a4394ff7a263"),
        HMACVector(
            name: "RFC 3566 section 4.6 case 4", prf: .aesXCBC,
            key: "000102030405060708090a0b0c0d0e0f",
            data: "000102030405060708090a0b0c0d0e0f10111213",
            result: "47f51b4564966215b8985c63055ed308"),
        HMACVector(
            name: "RFC 3566 section 4.6 case 5", prf: .aesXCBC,
            key: "000102030405060708090a0b0c0d0e0f",
            data: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            result: "f54f0ec8d2b9f3d36807734bd5283fd4"),
        HMACVector(
            name: "RFC 3566 section 4.6 case 6", prf: .aesXCBC,
            key: "000102030405060708090a0b0c0d0e0f",
            data: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021",
            result: "becbb3bccdb518a30677d5481fb6b4d8"),
        HMACVector(
            name: "RFC 3566 section 4.6 case 7", prf: .aesXCBC,
            key: "000102030405060708090a0b0c0d0e0f",
            data: String(repeating: "00", count: 1000),
            result: "f0dafee895db30253761103b5d84528f"),
        HMACVector(
            name: "RFC 4434 section 2.1 key of 16 octets", prf: .aesXCBC,
            key: "000102030405060708090a0b0c0d0e0f",
            data: "000102030405060708090a0b0c0d0e0f10111213",
            result: "47f51b4564966215b8985c63055ed308"),
        HMACVector(
            name: "RFC 4434 section 2.1 key of 10 octets", prf: .aesXCBC,
            key: "00010203040506070809",
            data: "000102030405060708090a0b0c0d0e0f10111213",
            result: "0fa087af7d866e7653434e602fdde835"),
        HMACVector(
            name: "RFC 4434 section 2.1 key of 18 octets", prf: .aesXCBC,
            key: "000102030405060708090a0b0c0d0e0fedcb",
            data: "000102030405060708090a0b0c0d0e0f10111213",
            result: "8cd3c93ae598a9803006ffb67c40e9e4"),
    ]
}
