/// Certificates of the years 2020 to 2120, for *.example.org unless they say otherwise, and their keys. Nothing but
/// tests trusts them.
public enum SampleCertificates {
    public static let authority = """
        -----BEGIN CERTIFICATE-----
        MIIBdTCCARygAwIBAgICEAAwCgYIKoZIzj0EAwIwKTEQMA4GA1UECgwHRXhhbXBs
        ZTEVMBMGA1UEAwwMRXhhbXBsZSBSb290MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAw
        MTAxMDAwMDAwWjApMRAwDgYDVQQKDAdFeGFtcGxlMRUwEwYDVQQDDAxFeGFtcGxl
        IFJvb3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARru3szFd9MCQCb5MjM2d6K
        kamucuH7PRFtmKX26OvLEeVK1sQcfZr/7PDstIS/reXsbO6H2RtEyMZQSwq9Z9+R
        ozIwMDAPBgNVHRMBAf8EBTADAQH/MB0GA1UdDgQWBBTtbuXiChc5bHjFJOtEI6cc
        o2HI9TAKBggqhkjOPQQDAgNHADBEAiAZ1zpxIZ/78b7GOEzsNrm7AkWnse3TxA+/
        5izfAcv4PQIgKhiU/cbTzp6QSyPE8ktdNb8DnSMjnzOUDD/INSr5T+4=
        -----END CERTIFICATE-----
        """

    public static let curve = """
        -----BEGIN CERTIFICATE-----
        MIIBoTCCAUegAwIBAgICEAEwCgYIKoZIzj0EAwIwKTEQMA4GA1UECgwHRXhhbXBs
        ZTEVMBMGA1UEAwwMRXhhbXBsZSBSb290MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAw
        MTAxMDAwMDAwWjASMRAwDgYDVQQDDAdpZ25vcmVkMFkwEwYHKoZIzj0CAQYIKoZI
        zj0DAQcDQgAEb1lubN9Qtk6nH1E4oPAnLi9xjBRkQoSbovimZYYTwyiJnZhB7qNS
        T2USh90QPAR/ih6gFMeJrTuonVUaByFTjaN0MHIwJQYDVR0RBB4wHIILZXhhbXBs
        ZS5vcmeCDSouZXhhbXBsZS5vcmcwCQYDVR0TBAIwADAdBgNVHQ4EFgQUzATO8laH
        0wQMqFF3NFMPK+ngTIswHwYDVR0jBBgwFoAU7W7l4goXOWx4xSTrRCOnHKNhyPUw
        CgYIKoZIzj0EAwIDSAAwRQIgVSYiUrS1X+9HLTc/x6hE3WpdruQyhpjdSVcJ8p2M
        iL4CIQCHuJqBQ3J2caDMktVSjMYtWcBYBYo2oKayIpc4WxRwaA==
        -----END CERTIFICATE-----
        """

    public static let curveKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgTt2DYHdVh4g1GI1I
        ThtuVlR7nu2ppRoNr2RvRiE7KJihRANCAARvWW5s31C2TqcfUTig8CcuL3GMFGRC
        hJui+KZlhhPDKImdmEHuo1JPZRKH3RA8BH+KHqAUx4mtO6idVRoHIVON
        -----END PRIVATE KEY-----
        """

    public static let curveKeySEC1 = """
        -----BEGIN EC PRIVATE KEY-----
        MHcCAQEEIE7dg2B3VYeINRiNSE4bblZUe57tqaUaDa9kb0YhOyiYoAoGCCqGSM49
        AwEHoUQDQgAEb1lubN9Qtk6nH1E4oPAnLi9xjBRkQoSbovimZYYTwyiJnZhB7qNS
        T2USh90QPAR/ih6gFMeJrTuonVUaByFTjQ==
        -----END EC PRIVATE KEY-----
        """

    public static let rsa = """
        -----BEGIN CERTIFICATE-----
        MIICbDCCAhKgAwIBAgICEAIwCgYIKoZIzj0EAwIwKTEQMA4GA1UECgwHRXhhbXBs
        ZTEVMBMGA1UEAwwMRXhhbXBsZSBSb290MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAw
        MTAxMDAwMDAwWjASMRAwDgYDVQQDDAdpZ25vcmVkMIIBIjANBgkqhkiG9w0BAQEF
        AAOCAQ8AMIIBCgKCAQEA4rMARVhXKvJRx6gtgDummVJdEjR8zS1okv8Skr0e7sGu
        RVdbdnSWOQNehMOOUIeai3XYX2Tzkb/B2Sckk7fQIXx0APIaUg0oiFVKpuXV/wnx
        Ap9haCOYtpRGcqOtfRp4Fcomt0cgX4aqGoiZmeC9vw3HjUx6a7X5JWR/9xBVkz6D
        9QWnY97lXGp0YMJ5Xu8Pq5j8wI6iaWXc4zWXN21ZJZzll5JKDdJAgEMU8wbuj6do
        fLezJ/x1mUYWpJUVxHetl9WDlFL8TfpJhUoSpXIdQIaiPQ0PbP71oYLDW7TCPYsH
        RXrJk60JgKgfGbDKut9BeGepF++f73Tw2fCfIsWSmQIDAQABo3QwcjAlBgNVHREE
        HjAcggtleGFtcGxlLm9yZ4INKi5leGFtcGxlLm9yZzAJBgNVHRMEAjAAMB0GA1Ud
        DgQWBBRTHdtv4pJAnotDVMUIgDBYzsP5XjAfBgNVHSMEGDAWgBTtbuXiChc5bHjF
        JOtEI6cco2HI9TAKBggqhkjOPQQDAgNIADBFAiBmEwDYBa45tvWnOWwLw4n8not3
        zswZ4nZGxwBOXO7GYgIhAKhUZ8z8DzqUTw/ih0loOQ9O4szu3DVWDG2AYsRkJThj
        -----END CERTIFICATE-----
        """

    public static let rsaKey = """
        -----BEGIN PRIVATE KEY-----
        MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDiswBFWFcq8lHH
        qC2AO6aZUl0SNHzNLWiS/xKSvR7uwa5FV1t2dJY5A16Ew45Qh5qLddhfZPORv8HZ
        JySTt9AhfHQA8hpSDSiIVUqm5dX/CfECn2FoI5i2lEZyo619GngVyia3RyBfhqoa
        iJmZ4L2/DceNTHprtfklZH/3EFWTPoP1Badj3uVcanRgwnle7w+rmPzAjqJpZdzj
        NZc3bVklnOWXkkoN0kCAQxTzBu6Pp2h8t7Mn/HWZRhaklRXEd62X1YOUUvxN+kmF
        ShKlch1AhqI9DQ9s/vWhgsNbtMI9iwdFesmTrQmAqB8ZsMq630F4Z6kX75/vdPDZ
        8J8ixZKZAgMBAAECggEAQP+Ov9M05vDkZsj/BsnTmhlF6y7Wa6Ot3Ju60QzdfhpV
        I7eI111VJxKiupExUECZHIxU1gElXvAqnd79u0bUK4252v2Pc2Anc3N0/IZghYft
        rNFSxd+S7SJ1UnBAkWKR9LlpwVno28rKIeJxm++Wp91FDmvTm+dogIKguA9cYeNc
        Ft8VtUtsqGtjiC+IW7NOW6ot+PDQf2gXowZ3oQ6Gd5+EOdvrtGKWZqp8wJrJe/iE
        oM5yCZEKGummH5UK/J26YIUxUHAJUifvqN+w5RtEp0IlKA1s1PLdUFZBOyJn3z8Z
        UC3aAIaJ7sFe7pgK1R7FThC3JI40EDek5u2g2fj16wKBgQD2jXfTvJOA7xXfdx5Z
        urYNIatnAdyVzlGdvL0DI69zCX66SFC8PKXv0ZdRkitk925qGlDtxw+xJzB9q6bD
        4pU2lCnbMNCoEE3JFUmeRQvOUdvhfQmhlMr+hzKXkvYpAFHDYG/CM2mW9qMqUv6u
        Hboytu5gKNtDV8aE7CAXlQ9EewKBgQDrYsiEeRZT7ICKNccFSGpvyE+5DnIpKJGl
        t1wdsR3Bn3yQgLqyZmDN3nHXn0ngU+RTmrOEP9aSWefAq1cs4K7L3FLhPU9ImL8D
        JdlQ9scw8hpccrsNvIX6QsL40ZIqBLESserJDh4ZGds+d+U6y58NzefCIOQAhDQA
        mwyGfw/q+wKBgQDQF+L1MQqGHkUl0RIqxa32M17JmAan4fV83tnhFnN08qSlcXfD
        CKU9XncLAAXkN/pXT1LS/do+uUbyKricSFeMM02IlRDnaKtedrsl/DzUrL6a+L/y
        QvV6En4e9IkTXhOkhXaOQHp0UkKw7E/MgYawWzmiq5k0o5cIhYsonETAlQKBgAjt
        yFluFnC8ieu0OoZyxsbSvGNyrtXs2gmFORNPQqezmxAIMgzOYWGtzHe3bR/7Tq/1
        MFYV7dfDXU0rsrTbGQZWpzYwEy/Xy3cdGm89zTSIGoPjPkE5I4PowGib2oWJhAYH
        hbZ2uKGPH4fxGFrwmmn1o5LzmHKEkUxslT8M1te9AoGAV9E+nrjgRVyILn3HCGUQ
        AcZwrFHuEZI2sNxXzi9r8+KterYBvolnPud6Drhw4PuCckY+HhNqg1EoA7PaUL4+
        c9DAVO3BICeQy+XRAY7DY4CTPtYE/Xb2xdPi8d3UoMtacCIXQ7maUtAwNi5EtjKh
        IlH0qxVtH19gJEcPKDgqCpo=
        -----END PRIVATE KEY-----
        """

    public static let rsaKeyPKCS1 = """
        -----BEGIN RSA PRIVATE KEY-----
        MIIEowIBAAKCAQEA4rMARVhXKvJRx6gtgDummVJdEjR8zS1okv8Skr0e7sGuRVdb
        dnSWOQNehMOOUIeai3XYX2Tzkb/B2Sckk7fQIXx0APIaUg0oiFVKpuXV/wnxAp9h
        aCOYtpRGcqOtfRp4Fcomt0cgX4aqGoiZmeC9vw3HjUx6a7X5JWR/9xBVkz6D9QWn
        Y97lXGp0YMJ5Xu8Pq5j8wI6iaWXc4zWXN21ZJZzll5JKDdJAgEMU8wbuj6dofLez
        J/x1mUYWpJUVxHetl9WDlFL8TfpJhUoSpXIdQIaiPQ0PbP71oYLDW7TCPYsHRXrJ
        k60JgKgfGbDKut9BeGepF++f73Tw2fCfIsWSmQIDAQABAoIBAED/jr/TNObw5GbI
        /wbJ05oZResu1mujrdybutEM3X4aVSO3iNddVScSorqRMVBAmRyMVNYBJV7wKp3e
        /btG1CuNudr9j3NgJ3NzdPyGYIWH7azRUsXfku0idVJwQJFikfS5acFZ6NvKyiHi
        cZvvlqfdRQ5r05vnaICCoLgPXGHjXBbfFbVLbKhrY4gviFuzTluqLfjw0H9oF6MG
        d6EOhnefhDnb67RilmaqfMCayXv4hKDOcgmRChrpph+VCvydumCFMVBwCVIn76jf
        sOUbRKdCJSgNbNTy3VBWQTsiZ98/GVAt2gCGie7BXu6YCtUexU4QtySONBA3pObt
        oNn49esCgYEA9o1307yTgO8V33ceWbq2DSGrZwHclc5Rnby9AyOvcwl+ukhQvDyl
        79GXUZIrZPduahpQ7ccPsScwfaumw+KVNpQp2zDQqBBNyRVJnkULzlHb4X0JoZTK
        /ocyl5L2KQBRw2BvwjNplvajKlL+rh26MrbuYCjbQ1fGhOwgF5UPRHsCgYEA62LI
        hHkWU+yAijXHBUhqb8hPuQ5yKSiRpbdcHbEdwZ98kIC6smZgzd5x159J4FPkU5qz
        hD/WklnnwKtXLOCuy9xS4T1PSJi/AyXZUPbHMPIaXHK7DbyF+kLC+NGSKgSxErHq
        yQ4eGRnbPnflOsufDc3nwiDkAIQ0AJsMhn8P6vsCgYEA0Bfi9TEKhh5FJdESKsWt
        9jNeyZgGp+H1fN7Z4RZzdPKkpXF3wwilPV53CwAF5Df6V09S0v3aPrlG8iq4nEhX
        jDNNiJUQ52irXna7Jfw81Ky+mvi/8kL1ehJ+HvSJE14TpIV2jkB6dFJCsOxPzIGG
        sFs5oquZNKOXCIWLKJxEwJUCgYAI7chZbhZwvInrtDqGcsbG0rxjcq7V7NoJhTkT
        T0Kns5sQCDIMzmFhrcx3t20f+06v9TBWFe3Xw11NK7K02xkGVqc2MBMv18t3HRpv
        Pc00iBqD4z5BOSOD6MBom9qFiYQGB4W2drihjx+H8Rha8Jpp9aOS85hyhJFMbJU/
        DNbXvQKBgFfRPp644EVciC59xwhlEAHGcKxR7hGSNrDcV84va/PirXq2Ab6JZz7n
        eg64cOD7gnJGPh4TaoNRKAOz2lC+PnPQwFTtwSAnkMvl0QGOw2OAkz7WBP129sXT
        4vHd1KDLWnAiF0O5mlLQMDYuRLYyoSJR9KsVbR9fYCRHDyg4Kgqa
        -----END RSA PRIVATE KEY-----
        """

    public static let edwards = """
        -----BEGIN CERTIFICATE-----
        MIIBczCCARigAwIBAgICEAMwCgYIKoZIzj0EAwIwKTEQMA4GA1UECgwHRXhhbXBs
        ZTEVMBMGA1UEAwwMRXhhbXBsZSBSb290MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAw
        MTAxMDAwMDAwWjASMRAwDgYDVQQDDAdpZ25vcmVkMCowBQYDK2VwAyEAR0941MFh
        LuoLyu9GFkdTeLsWbLRrtlzBDQKtWeidJkmjdDByMCUGA1UdEQQeMByCC2V4YW1w
        bGUub3Jngg0qLmV4YW1wbGUub3JnMAkGA1UdEwQCMAAwHQYDVR0OBBYEFNr2zayh
        uPDkD/mrt1ZPNc99a7lPMB8GA1UdIwQYMBaAFO1u5eIKFzlseMUk60QjpxyjYcj1
        MAoGCCqGSM49BAMCA0kAMEYCIQDJLqf1k6xpalasjfoaNKKA56JPf/hsHKl2UIZ5
        Yr1n1wIhAOwx4vM04CzcESojiVjj/KD++qz5PsFiLCVSpbCrua9l
        -----END CERTIFICATE-----
        """

    public static let edwardsKey = """
        -----BEGIN PRIVATE KEY-----
        MC4CAQAwBQYDK2VwBCIEIII4FMNnC/npIBI6QXCyizE/cj2LHMdNweZPbD6Qnu5P
        -----END PRIVATE KEY-----
        """

    public static let foreign = """
        -----BEGIN CERTIFICATE-----
        MIIBszCCAVmgAwIBAgICEAQwCgYIKoZIzj0EAwIwKTEQMA4GA1UECgwHRXhhbXBs
        ZTEVMBMGA1UEAwwMRXhhbXBsZSBSb290MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAw
        MTAxMDAwMDAwWjASMRAwDgYDVQQDDAdpZ25vcmVkMHYwEAYHKoZIzj0CAQYFK4EE
        ACIDYgAE9wFQuNSk5dOLvP8jjwZUGScrTrtQUOOe+t1Cyko4YTDnGikGKfwQGw8A
        gseIt564p1ZhNdnp0x3a2KtlL1jCZg54EC0yZLdoNBHInBT3m3iheQ3trL19eYBn
        nZjM9FOoo2kwZzAaBgNVHREEEzARgg93d3cuZXhhbXBsZS5uZXQwCQYDVR0TBAIw
        ADAdBgNVHQ4EFgQUvRobDKTfenlfKM4sbwMozCMCaCswHwYDVR0jBBgwFoAU7W7l
        4goXOWx4xSTrRCOnHKNhyPUwCgYIKoZIzj0EAwIDSAAwRQIhAPDBIFYYyw74YJJI
        GHZ6yo+QlLnYh+C33Ayyo2QdsKVeAiAYvOPqLukr8PQXQ0lDXwBuzQKqy8C+zIKY
        AZq0p+Mf4A==
        -----END CERTIFICATE-----
        """

    public static let foreignKey = """
        -----BEGIN PRIVATE KEY-----
        MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDCwueMV2HBWLt899RFT
        GAke8TIXrZPgr/oi+FEgPIDCigshULC5xQi7YceNmuhRB3qhZANiAAT3AVC41KTl
        04u8/yOPBlQZJytOu1BQ45763ULKSjhhMOcaKQYp/BAbDwCCx4i3nrinVmE12enT
        HdrYq2UvWMJmDngQLTJkt2g0EcicFPebeKF5De2svX15gGedmMz0U6g=
        -----END PRIVATE KEY-----
        """

    public static let ended = """
        -----BEGIN CERTIFICATE-----
        MIIBnzCCAUWgAwIBAgICEAUwCgYIKoZIzj0EAwIwKTEQMA4GA1UECgwHRXhhbXBs
        ZTEVMBMGA1UEAwwMRXhhbXBsZSBSb290MB4XDTIwMDEwMTAwMDAwMFoXDTIxMDEw
        MTAwMDAwMFowEjEQMA4GA1UEAwwHaWdub3JlZDBZMBMGByqGSM49AgEGCCqGSM49
        AwEHA0IABG9ZbmzfULZOpx9ROKDwJy4vcYwUZEKEm6L4pmWGE8MoiZ2YQe6jUk9l
        EofdEDwEf4oeoBTHia07qJ1VGgchU42jdDByMCUGA1UdEQQeMByCC2V4YW1wbGUu
        b3Jngg0qLmV4YW1wbGUub3JnMAkGA1UdEwQCMAAwHQYDVR0OBBYEFMwEzvJWh9ME
        DKhRdzRTDyvp4EyLMB8GA1UdIwQYMBaAFO1u5eIKFzlseMUk60QjpxyjYcj1MAoG
        CCqGSM49BAMCA0gAMEUCIQCwUcIfe3lmDKvnIdccdQMyHpWxzDmzulmPcBQub007
        5wIgGuPraR44ws5em4CHw7d0uyM3DDg6BUdS9M3+/pTnGgk=
        -----END CERTIFICATE-----
        """
}
