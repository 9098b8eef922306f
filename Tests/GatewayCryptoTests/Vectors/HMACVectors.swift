import Testing
import Wire

/// HMAC vectors of RFC 2202 (SHA-1), RFC 4231 and RFC 4868 (SHA-2): the key, the data and the (possibly cut) result.
struct HMACVector: Sendable, CustomTestStringConvertible {
    let name: String
    let prf: PseudorandomFunction
    let key: String
    let data: String
    let result: String

    var testDescription: String { name }

    static let all: [HMACVector] = [
        HMACVector(
            name: "RFC 2202 section 3 case 1", prf: .hmacSHA1,
            key: "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
            data: "4869205468657265",
            result: "b617318655057264e28bc0b6fb378c8ef146be00"),
        HMACVector(
            name: "RFC 2202 section 3 case 2", prf: .hmacSHA1,
            key: "4a656665",
            data: "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
            result: "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        HMACVector(
            name: "RFC 2202 section 3 case 3", prf: .hmacSHA1,
            key: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            data: """
                dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
                """,
            result: "125d7342b9ac11cd91a39af48aa17b4f63f175d3"),
        HMACVector(
            name: "RFC 2202 section 3 case 4", prf: .hmacSHA1,
            key: "0102030405060708090a0b0c0d0e0f10111213141516171819",
            data: """
                cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
                """,
            result: "4c9007f4026250c6bc8414f9bf50c86c2d7235da"),
        HMACVector(
            name: "RFC 2202 section 3 case 5", prf: .hmacSHA1,
            key: "0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c",
            data: "546573742057697468205472756e636174696f6e",
            result: "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"),
        HMACVector(
            name: "RFC 2202 section 3 case 6", prf: .hmacSHA1,
            key: """
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                """,
            data: """
                54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b65792046
                69727374
                """,
            result: "aa4ae5e15272d00e95705637ce8a3b55ed402112"),
        HMACVector(
            name: "RFC 2202 section 3 case 7", prf: .hmacSHA1,
            key: """
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                """,
            data: """
                54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b657920616e64204c61726765722054
                68616e204f6e6520426c6f636b2d53697a652044617461
                """,
            result: "e8e99d0f45237d786d6bbaa7965c7808bbff1a91"),
        HMACVector(
            name: "RFC 4231 section 4.2, sha256", prf: .hmacSHA256,
            key: "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
            data: "4869205468657265",
            result: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        HMACVector(
            name: "RFC 4231 section 4.2, sha384", prf: .hmacSHA384,
            key: "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
            data: "4869205468657265",
            result: "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6"),
        HMACVector(
            name: "RFC 4231 section 4.2, sha512", prf: .hmacSHA512,
            key: "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
            data: "4869205468657265",
            result: """
                87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d
                914eeb61f1702e696c203a126854
                """),
        HMACVector(
            name: "RFC 4231 section 4.3, sha256", prf: .hmacSHA256,
            key: "4a656665",
            data: "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
            result: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        HMACVector(
            name: "RFC 4231 section 4.3, sha384", prf: .hmacSHA384,
            key: "4a656665",
            data: "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
            result: "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"),
        HMACVector(
            name: "RFC 4231 section 4.3, sha512", prf: .hmacSHA512,
            key: "4a656665",
            data: "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
            result: """
                164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaea
                b1a34d4a6b4b636e070a38bce737
                """),
        HMACVector(
            name: "RFC 4231 section 4.4, sha256", prf: .hmacSHA256,
            key: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            data: """
                dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
                """,
            result: "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        HMACVector(
            name: "RFC 4231 section 4.4, sha384", prf: .hmacSHA384,
            key: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            data: """
                dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
                """,
            result: "88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b2a5ab39dc13814b94e3ab6e101a34f27"),
        HMACVector(
            name: "RFC 4231 section 4.4, sha512", prf: .hmacSHA512,
            key: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            data: """
                dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
                """,
            result: """
                fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39bf3e848279a722c806b485a47e67c807b946
                a337bee8942674278859e13292fb
                """),
        HMACVector(
            name: "RFC 4231 section 4.5, sha256", prf: .hmacSHA256,
            key: "0102030405060708090a0b0c0d0e0f10111213141516171819",
            data: """
                cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
                """,
            result: "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
        HMACVector(
            name: "RFC 4231 section 4.5, sha384", prf: .hmacSHA384,
            key: "0102030405060708090a0b0c0d0e0f10111213141516171819",
            data: """
                cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
                """,
            result: "3e8a69b7783c25851933ab6290af6ca77a9981480850009cc5577c6e1f573b4e6801dd23c4a7d679ccf8a386c674cffb"),
        HMACVector(
            name: "RFC 4231 section 4.5, sha512", prf: .hmacSHA512,
            key: "0102030405060708090a0b0c0d0e0f10111213141516171819",
            data: """
                cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
                """,
            result: """
                b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3dba91ca5c11aa25eb4d679275cc5788063a5f1
                9741120c4f2de2adebeb10a298dd
                """),
        HMACVector(
            name: "RFC 4231 section 4.6, sha256", prf: .hmacSHA256,
            key: "0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c",
            data: "546573742057697468205472756e636174696f6e",
            result: "a3b6167473100ee06e0c796c2955552b"),
        HMACVector(
            name: "RFC 4231 section 4.6, sha384", prf: .hmacSHA384,
            key: "0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c",
            data: "546573742057697468205472756e636174696f6e",
            result: "3abf34c3503b2a23a46efc619baef897"),
        HMACVector(
            name: "RFC 4231 section 4.6, sha512", prf: .hmacSHA512,
            key: "0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c",
            data: "546573742057697468205472756e636174696f6e",
            result: "415fad6271580a531d4179bc891d87a6"),
        HMACVector(
            name: "RFC 4231 section 4.7, sha256", prf: .hmacSHA256,
            key: """
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                """,
            data: """
                54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b65792046
                69727374
                """,
            result: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
        HMACVector(
            name: "RFC 4231 section 4.7, sha384", prf: .hmacSHA384,
            key: """
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                """,
            data: """
                54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b65792046
                69727374
                """,
            result: "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952"),
        HMACVector(
            name: "RFC 4231 section 4.7, sha512", prf: .hmacSHA512,
            key: """
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                """,
            data: """
                54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b65792046
                69727374
                """,
            result: """
                80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e6
                4f73f63f0aec8b915a985d786598
                """),
        HMACVector(
            name: "RFC 4231 section 4.8, sha256", prf: .hmacSHA256,
            key: """
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                """,
            data: """
                5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b2d73697a65206b657920
                616e642061206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865206b6579206e656564732074
                6f20626520686173686564206265666f7265206265696e6720757365642062792074686520484d414320616c676f72697468
                6d2e
                """,
            result: "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
        HMACVector(
            name: "RFC 4231 section 4.8, sha384", prf: .hmacSHA384,
            key: """
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                """,
            data: """
                5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b2d73697a65206b657920
                616e642061206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865206b6579206e656564732074
                6f20626520686173686564206265666f7265206265696e6720757365642062792074686520484d414320616c676f72697468
                6d2e
                """,
            result: "6617178e941f020d351e2f254e8fd32c602420feb0b8fb9adccebb82461e99c5a678cc31e799176d3860e6110c46523e"),
        HMACVector(
            name: "RFC 4231 section 4.8, sha512", prf: .hmacSHA512,
            key: """
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                """,
            data: """
                5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b2d73697a65206b657920
                616e642061206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865206b6579206e656564732074
                6f20626520686173686564206265666f7265206265696e6720757365642062792074686520484d414320616c676f72697468
                6d2e
                """,
            result: """
                e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944b6022cac3c4982b10d5eeb55c3e4de151346
                76fb6de0446065c97440fa8c6a58
                """),
        HMACVector(
            name: "RFC 4868 section 2.7.2 AUTH256-1", prf: .hmacSHA256,
            key: "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
            data: "4869205468657265",
            result: "198a607eb44bfbc69903a0f1cf2bbdc5"),
        HMACVector(
            name: "RFC 4868 section 2.7.2 AUTH256-2", prf: .hmacSHA256,
            key: "4a6566654a6566654a6566654a6566654a6566654a6566654a6566654a656665",
            data: "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
            result: "167f928588c5cc2eef8e3093caa0e87c"),
        HMACVector(
            name: "RFC 4868 section 2.7.2 AUTH256-3", prf: .hmacSHA256,
            key: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            data: """
                dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
                """,
            result: "cdcb1220d1ecccea91e53aba3092f962"),
        HMACVector(
            name: "RFC 4868 section 2.7.2 AUTH256-4", prf: .hmacSHA256,
            key: "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
            data: """
                cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
                """,
            result: "372efcf9b40b35c2115b1346903d2ef4"),
        HMACVector(
            name: "RFC 4868 section 2.7.2 AUTH384-1", prf: .hmacSHA384,
            key: "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
            data: "4869205468657265",
            result: "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973"),
        HMACVector(
            name: "RFC 4868 section 2.7.2 AUTH384-2", prf: .hmacSHA384,
            key: "4a6566654a6566654a6566654a6566654a6566654a6566654a6566654a6566654a6566654a6566654a6566654a656665",
            data: "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
            result: "2c7353974f1842fd66d53c452ca42122b28c0b594cfb184d"),
        HMACVector(
            name: "RFC 4868 section 2.7.2 AUTH384-3", prf: .hmacSHA384,
            key: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            data: """
                dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
                """,
            result: "809f439be00274321d4a538652164b53554a508184a0c316"),
        HMACVector(
            name: "RFC 4868 section 2.7.2 AUTH384-4", prf: .hmacSHA384,
            key: "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f200a0b0c0d0e0f10111213141516171819",
            data: """
                cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
                """,
            result: "5b540085c6e6358096532b2493609ed1cb298f774f87bb5c"),
        HMACVector(
            name: "RFC 4868 section 2.7.2 AUTH512-1", prf: .hmacSHA512,
            key: """
                0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b
                0b0b0b0b0b0b0b0b0b0b0b0b0b0b
                """,
            data: "4869205468657265",
            result: "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8"),
        HMACVector(
            name: "RFC 4868 section 2.7.2 AUTH512-2", prf: .hmacSHA512,
            key: """
                4a6566654a6566654a6566654a6566654a6566654a6566654a6566654a6566654a6566654a6566654a6566654a6566654a65
                66654a6566654a6566654a656665
                """,
            data: "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
            result: "cb370917ae8a7ce28cfd1d8f4705d6141c173b2a9362c15df235dfb251b15454"),
        HMACVector(
            name: "RFC 4868 section 2.7.2 AUTH512-3", prf: .hmacSHA512,
            key: """
                aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                aaaaaaaaaaaaaaaaaaaaaaaaaaaa
                """,
            data: """
                dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
                """,
            result: "2ee7acd783624ca9398710f3ee05ae41b9f9b0510c87e49e586cc9bf961733d8"),
        HMACVector(
            name: "RFC 4868 section 2.7.2 AUTH512-4", prf: .hmacSHA512,
            key: """
                0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132
                333435363738393a3b3c3d3e3f40
                """,
            data: """
                cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
                """,
            result: "5e6688e5a3daec826ca32eaea224eff5e700628947470e13ad01302561bab108"),
    ]
}
