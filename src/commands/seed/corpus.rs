//! Words that links are made of. Every host lies under `.example`, which belongs to nobody: a
//! visit to a link of these troubles no one.

/// What a group of sites is about.
#[derive(Debug)]
pub(super) struct Theme {
    /// The more popular ones first.
    pub(super) hosts: &'static [&'static str],
    /// `{slug}`, `{id}`, `{word}` and `{year}` are filled in.
    pub(super) paths: &'static [&'static str],
    /// What their owners would call such links.
    pub(super) tags: &'static [&'static str],
}

/// How people of one language name their links.
#[derive(Debug)]
pub(super) struct Language {
    /// `{}` is one of the names.
    pub(super) titles: &'static [&'static str],
    /// Places, people, things.
    pub(super) names: &'static [&'static str],
}

/// Tags that any link may have.
pub(super) const CAMPAIGNS: &[&str] = &[
    "newsletter",
    "social",
    "poster",
    "spring-2026",
    "autumn-2026",
    "black-friday",
    "partner",
    "internal",
    "press",
    "onboarding",
    "qr",
    "A/B-test",
];

/// Where campaigns say that a visitor came from.
pub(super) const SOURCES: &[&str] = &[
    "newsletter",
    "mastodon",
    "instagram",
    "linkedin",
    "poster",
    "podcast",
    "sms",
    "flyer",
];

/// Notes of owners, for themselves.
pub(super) const NOTES: &[&str] = &[
    "Printed on 2,000 flyers: do not change the target.",
    "Ask marketing before switching this off.",
    "Replaces the old link from 2024.",
    "Für den Aushang im Treppenhaus.",
    "À vérifier avant la prochaine campagne.",
    "印刷済み。変更しないこと。",
];

/// The more common ones first.
pub(super) const THEMES: &[Theme] = &[
    Theme {
        hosts: &[
            "www.daily-courier.example",
            "news.evening-post.example",
            "www.morgenblatt.example",
            "actu.le-quotidien.example",
            "www.el-diario-nuevo.example",
            "shimbun.example",
            "новости.example",
        ],
        paths: &[
            "/{year}/{word}/{slug}-{id}.html",
            "/article/{id}/{slug}",
            "/{word}/{slug}",
            "/live/{slug}",
            "/amp/{word}/{id}",
        ],
        tags: &["news", "politics", "local", "opinion"],
    },
    Theme {
        hosts: &[
            "shop.northwind.example",
            "www.megastore.example",
            "store.little-bookshop.example",
            "möbelhaus.example",
            "boutique.paris.example",
            "market.example",
        ],
        paths: &[
            "/p/{slug}/{id}",
            "/product/{id}?variant={word}",
            "/{word}/{slug}.html",
            "/cart?add={id}",
            "/sale/{word}",
            "/gift-cards/{word}",
        ],
        tags: &["shop", "sale", "product", "gift"],
    },
    Theme {
        hosts: &[
            "docs.toolchain.example",
            "developer.cloudworks.example",
            "handbook.team.example",
            "wiki.open-atlas.example",
        ],
        paths: &[
            "/en/stable/{word}/{slug}.html#section-{id}",
            "/guides/{slug}",
            "/api/v2/{word}",
            "/wiki/{slug}",
            "/changelog/{year}#{word}",
        ],
        tags: &["docs", "howto", "reference"],
    },
    Theme {
        hosts: &[
            "watch.streamly.example",
            "podcasts.airwave.example",
            "music.vinyl.example",
            "talks.conference.example",
        ],
        paths: &[
            "/watch?v={id}{word}&t=42s",
            "/show/{slug}/episode-{id}",
            "/album/{id}",
            "/playlist/{slug}",
            "/{year}/{slug}",
        ],
        tags: &["video", "podcast", "music", "talk"],
    },
    Theme {
        hosts: &[
            "tickets.city-hall.example",
            "events.meetly.example",
            "www.sommerfest.example",
            "festival-de-jazz.example",
        ],
        paths: &[
            "/event/{id}/{slug}",
            "/{year}/programme",
            "/register/{slug}?ref={word}",
            "/seats/{id}",
        ],
        tags: &["event", "tickets", "registration"],
    },
    Theme {
        hosts: &[
            "git.forge.example",
            "code.commons.example",
            "bugs.kernelworks.example",
        ],
        paths: &[
            "/{word}/{slug}",
            "/{word}/{slug}/issues/{id}",
            "/{word}/{slug}/pull/{id}/files",
            "/{word}/{slug}/releases/tag/v{id}",
        ],
        tags: &["code", "issue", "release"],
    },
    Theme {
        hosts: &[
            "drive.papers.example",
            "forms.askaway.example",
            "calendar.team.example",
            "board.planning.example",
        ],
        paths: &[
            "/d/{id}{word}/edit",
            "/f/{id}?lang={word}",
            "/s/{slug}-{id}",
            "/share/{word}{id}?usp=sharing",
        ],
        tags: &["document", "survey", "planning"],
    },
    Theme {
        hosts: &[
            "www.city-university.example",
            "library.old-town.example",
            "kurse.volkshochschule.example",
            "mooc.campus.example",
        ],
        paths: &[
            "/courses/{year}/{slug}",
            "/catalogue/{id}",
            "/thesis/{id}.pdf",
            "/kurs/{id}/{slug}",
        ],
        tags: &["course", "library", "research"],
    },
    Theme {
        hosts: &[
            "www.railway-journeys.example",
            "maps.wayfinder.example",
            "stay.harbour-hotels.example",
            "www.alpenverein.example",
        ],
        paths: &[
            "/route/{slug}?date={year}-06-{day}",
            "/@52.5{id},13.4{id},15z",
            "/hotel/{id}/{slug}",
            "/touren/{slug}",
        ],
        tags: &["travel", "map", "hotel"],
    },
    Theme {
        hosts: &[
            "www.home-kitchen.example",
            "rezepte.omas-kueche.example",
            "recettes.marmite.example",
        ],
        paths: &["/recipe/{id}/{slug}", "/{word}/{slug}", "/print/{id}"],
        tags: &["recipe", "food"],
    },
    Theme {
        hosts: &[
            "careers.northwind.example",
            "jobs.city-hall.example",
            "www.stellenmarkt.example",
        ],
        paths: &["/job/{id}-{slug}", "/apply?position={id}", "/teams/{word}"],
        tags: &["jobs", "career"],
    },
    Theme {
        hosts: &[
            "www.city-hall.example",
            "health.region.example",
            "tax.service.example",
        ],
        paths: &[
            "/services/{slug}",
            "/forms/{id}.pdf",
            "/appointments/{word}?step=2",
        ],
        tags: &["government", "health", "form"],
    },
];

/// Parts of paths.
pub(super) const WORDS: &[&str] = &[
    "summer", "green", "city", "river", "garden", "winter", "coffee", "bicycle", "market", "light",
    "harbour", "forest", "music", "school", "bridge", "paper", "silver", "window", "island",
    "kitchen", "museum", "train", "letter", "orange", "stone", "cloud", "mountain", "theatre",
    "puzzle", "lantern", "blue", "quiet", "north", "open", "little", "great", "second", "annual",
    "free", "modern",
];

/// Parts of paths that are not ASCII: browsers and servers escape them.
pub(super) const FOREIGN_WORDS: &[&str] = &[
    "straße",
    "größe",
    "café",
    "crème",
    "niño",
    "żółw",
    "çiçek",
    "море",
    "книга",
    "東京",
    "天気",
    "서울",
    "القاهرة",
    "हिन्दी",
];

/// The more common ones first.
pub(super) const LANGUAGES: &[Language] = &[
    Language {
        titles: &[
            "Opening hours: {}",
            "{} – programme and tickets",
            "How to reach {}",
            "Minutes of the meeting in {}",
            "Survey: what do you think of {}?",
            "{} explained in five minutes",
            "Release notes: {}",
            "Everything about {}",
        ],
        names: &[
            "the harbour museum",
            "the new library",
            "Greenfield",
            "the winter sale",
            "Project Lighthouse",
            "the cycling map",
            "the annual report",
            "open days",
        ],
    },
    Language {
        titles: &[
            "Öffnungszeiten {}",
            "Anmeldung: {}",
            "So kommen Sie zu uns: {}",
            "{} – jetzt Karten sichern",
            "Rückmeldung zu {}",
        ],
        names: &[
            "Sommerfest",
            "Stadtbücherei",
            "Köln-Süd",
            "Frühjahrsputz",
            "Straßenfest",
            "Jahresbericht",
        ],
    },
    Language {
        titles: &[
            "Programme : {}",
            "S’inscrire à {}",
            "{} en cinq minutes",
            "Plan d’accès – {}",
        ],
        names: &[
            "la fête de l’été",
            "Besançon",
            "l’atelier théâtre",
            "la médiathèque",
            "Noël",
        ],
    },
    Language {
        titles: &[
            "¿Cómo llegar a {}?",
            "Inscripción: {}",
            "{}: todo lo que debes saber",
        ],
        names: &[
            "la Feria del Libro",
            "Logroño",
            "el taller de cocina",
            "Año Nuevo",
        ],
    },
    Language {
        titles: &["Programação: {}", "Inscrições para {}", "Como chegar a {}"],
        names: &["São João", "a Feira do Livro", "o Museu da Água"],
    },
    Language {
        titles: &[
            "Orari di apertura: {}",
            "Iscriviti a {}",
            "Perché {} è così amato",
        ],
        names: &["la Città dei Ragazzi", "il mercato", "Forlì"],
    },
    Language {
        titles: &["Zapisy: {}", "Jak dojechać: {}", "{} – bilety"],
        names: &["Łódź", "Noc Muzeów", "Święto Książki"],
    },
    Language {
        titles: &["{} için kayıt", "{} nasıl gidilir?"],
        names: &["İstanbul", "Çocuk Şenliği", "Kitap Fuarı"],
    },
    Language {
        titles: &["Расписание: {}", "Как добраться: {}", "{} — билеты"],
        names: &["Музей моря", "День города", "Книжная ярмарка"],
    },
    Language {
        titles: &["{}のお知らせ", "{}へのアクセス", "{}の申し込み"],
        names: &["図書館", "夏祭り", "東京マラソン"],
    },
    Language {
        titles: &["{}活动报名", "如何前往{}", "{}开放时间"],
        names: &["图书馆", "春节庙会", "城市博物馆"],
    },
    Language {
        titles: &["مواعيد {}", "التسجيل في {}"],
        names: &["معرض الكتاب", "متحف البحر"],
    },
    Language {
        titles: &["{} का समय", "{} के लिए पंजीकरण"],
        names: &["पुस्तक मेला", "संग्रहालय"],
    },
    Language {
        titles: &["Party time 🎉 {}", "🚲 {} 🌧️"],
        names: &["Kiez", "2026", "👩‍👩‍👧 Familientag"],
    },
];
