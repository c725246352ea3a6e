"""Exports whose headers are translated: WooCommerce and Etsy."""

from platform_files import PlatformFile, columns, export, image, numbered

UPLOADS = "https://shop.example/wp-content/uploads/2024/11"
BOM = "\ufeff"
HTML = '<p>Holds 0.4 l – "dishwasher proof".</p>\\n<ul><li>blue, glazed</li></ul>'

# Place for place the same 41 columns. PHP writes them, so a cell with a blank is quoted, too.
WOOCOMMERCE = {
    "English": "ID;Type;SKU;GTIN, UPC, EAN, or ISBN;Name;Published;Is featured?;Visibility in catalog;"
    "Short description;Description;Date sale price starts;Date sale price ends;Tax status;Tax class;In stock?;Stock;"
    "Low stock amount;Backorders allowed?;Sold individually?;Weight (kg);Length (cm);Width (cm);Height (cm);"
    "Allow customer reviews?;Purchase note;Sale price;Regular price;Categories;Tags;Shipping class;Images;"
    "Download limit;Download expiry days;Parent;Grouped products;Upsells;Cross-sells;External URL;Button text;Position;"
    "Attribute 1 name",
    "German": "ID;Typ;Artikelnummer;GTIN, UPC, EAN oder ISBN;Name;Veröffentlicht;Ist hervorgehoben?;"
    "Sichtbarkeit im Katalog;Kurzbeschreibung;Beschreibung;Datum, an dem Angebotspreis beginnt;"
    "Datum, an dem Angebotspreis endet;Steuerstatus;Steuerklasse;Vorrätig?;Bestand;Geringe Lagermenge;"
    "Lieferrückstände erlaubt?;Nur einzeln verkaufen?;Gewicht (kg);Länge (cm);Breite (cm);Höhe (cm);"
    "Kundenrezensionen erlauben?;Hinweis zum Kauf;Angebotspreis;Regulärer Preis;Kategorien;Schlagwörter;Versandklasse;"
    "Bilder;Downloadlimit;Ablauftage des Downloads;Übergeordnetes Produkt;Gruppierte Produkte;Zusatzverkäufe;"
    "Cross-Sells (Querverkäufe);Externe URL;Button-Text;Position;Name des Attributs 1",
    "French": "ID;Type;UGS;GTIN, UPC, EAN ou ISBN;Nom;Publié;Mis en avant ?;Visibilité dans le catalogue;"
    "Description courte;Description;Date de début de promo;Date de fin de promo;État de la TVA;Classe de TVA;"
    "En stock ?;Stock;Montant de stock faible;Autoriser les commandes de produits en rupture ?;"
    "Vendre individuellement ?;Poids (kg);Longueur (cm);Largeur (cm);Hauteur (cm);Autoriser les avis clients ?;"
    "Note de commande;Tarif promo;Tarif régulier;Catégories;Étiquettes;Classe d’expédition;Images;"
    "Limite de téléchargement;Jours d’expiration du téléchargement;Parent;Groupes de produits;"
    "Produits suggérés;Ventes croisées;URL externe;Libellé du bouton;Position;Nom de l’attribut 1",
    "Spanish": "ID;Tipo;SKU;GTIN, UPC, EAN o ISBN;Nombre;Publicado;¿Está destacado?;Visibilidad en el catálogo;"
    "Descripción corta;Descripción;Día en que empieza el precio rebajado;Día en que termina el precio rebajado;"
    "Estado del impuesto;Clase de impuesto;¿Existencias?;Inventario;Cantidad de bajo inventario;"
    "¿Permitir reservas de productos agotados?;¿Vendido individualmente?;Peso (kg);Longitud (cm);Anchura (cm);"
    "Altura (cm);¿Permitir valoraciones de clientes?;Nota de compra;Precio rebajado;Precio normal;Categorías;"
    "Etiquetas;Clase de envío;Imágenes;Límite de descargas;Días de caducidad de la descarga;Superior;"
    "Productos agrupados;Ventas dirigidas;Ventas cruzadas;URL externa;Texto del botón;Posición;Nombre del atributo 1",
    "Italian": "ID;Tipo;COD;GTIN, UPC, EAN o ISBN;Nome;Pubblicato;In primo piano?;Visibilità nel catalogo;"
    "Breve descrizione;Descrizione;Inizio offerta;Fine offerta;Stato delle imposte;Aliquota di imposta;In stock?;"
    "Magazzino;Quantità bassa;Backorder ammessi?;Venduto singolarmente?;Peso (kg);Lunghezza (cm);Larghezza (cm);"
    "Altezza (cm);Abilita le recensioni dei clienti?;Nota di acquisto;Prezzo in offerta;Prezzo di listino;Categorie;"
    "Tag;Classe di spedizione;Immagini;Limite di download;Giorni di scadenza del download;Genitore;"
    "Prodotti raggruppati;Up-sell;Cross-sell;URL esterno;Testo del pulsante;Posizione;Nome dell'attributo 1",
    "Dutch": "ID;Type;SKU;GTIN, UPC, EAN of ISBN;Naam;Gepubliceerd;Is uitgelicht?;Zichtbaarheid in catalogus;"
    "Korte beschrijving;Beschrijving;Startdatum actieprijs;Einddatum actieprijs;Btw status;Belastingklasse;"
    "Op voorraad?;Voorraad;Lage voorraad;Nabestellingen toestaan?;Wordt individueel verkocht?;Gewicht (kg);"
    "Lengte (cm);Breedte (cm);Hoogte (cm);Klantbeoordelingen toestaan?;Aankoopnotitie;Actieprijs;Reguliere prijs;"
    "Categorieën;Tags;Verzendklasse;Afbeeldingen;Downloadlimiet;Dagen vervaltermijn download;Hoofd;"
    "Gegroepeerde producten;Upsells;Cross-sells;Externe URL;Knop tekst;Positie;Eigenschap 1 naam",
    "Portuguese": "ID;Tipo;SKU;GTIN, UPC, EAN ou ISBN;Nome;Publicado;Em destaque?;Visibilidade no catálogo;"
    "Descrição curta;Descrição;Data de início da promoção;Data de término da promoção;Status do imposto;"
    "Classe de imposto;Em estoque?;Estoque;Quantidade baixa de estoque;São permitidas encomendas?;"
    "Vendido individualmente?;Peso (kg);Comprimento (cm);Largura (cm);Altura (cm);Permitir avaliações de clientes?;"
    "Nota da compra;Preço promocional;Preço;Categorias;Tags;Classe de entrega;Imagens;Limite de downloads;"
    "Dias para expirar o download;Ascendente;Grupo de produtos;Aumenta vendas;Venda cruzada;URL externa;"
    "Texto do botão;Posição;Nome do atributo 1",
    "Polish": "ID;Rodzaj;SKU;GTIN, UPC, EAN lub ISBN;Nazwa;Opublikowano;Czy jest polecany?;Widoczność w katalogu;"
    "Krótki opis;Opis;Data rozpoczęcia promocji;Data zakończenia promocji;Status podatku;Klasa podatkowa;"
    "Na stanie?;Stan magazynowy;Niski stan;Czy dopuszczone zamówienia oczekujące?;Sprzedawane indywidualnie?;"
    "Waga (kg);Długość (cm);Szerokość (cm);Wysokość (cm);Zezwolić na opinie klientów?;Notatka do zakupu;"
    "Cena promocyjna;Cena katalogowa;Kategorie;Tagi;Klasa wysyłkowa;Obrazki;Limit pobrań;Dni do wygaśnięcia pobrania;"
    "Nadrzędny;Grupowane produkty;Dodatkowe produkty;Powiązane produkty;Zewnętrzny adres;Tekst przycisku;Pozycja;"
    "Nazwa atrybutu 1",
    "Russian": "ID;Тип;Артикул;GTIN, UPC, EAN или ISBN;Имя;Опубликован;Рекомендуемый?;Видимость в каталоге;"
    "Краткое описание;Описание;Дата начала действия скидки;Дата окончания действия скидки;Статус налога;"
    "Налоговый класс;Наличие;Запасы;Величина малых запасов;Возможен ли предзаказ?;Продано индивидуально?;Вес (кг);"
    "Длина (см);Ширина (см);Высота (см);Разрешить отзывы от клиентов?;Примечание к покупке;Акционная цена;"
    "Базовая цена;Категории;Метки;Класс доставки;Изображения;Лимит скачиваний;Дней срока скачивания;Родительский;"
    "Сгруппированные товары;Апсэлы;Кросселы;Внешний URL;Текст кнопки;Позиция;Название атрибута 1",
    "Hebrew": "מזהה;סוג;מק\"ט;GTIN;שם;פורסם;מובלט?;נראות בקטלוג;תיאור קצר;תיאור;תחילת מבצע;סיום מבצע;סטטוס מס;"
    "סוג מס;במלאי?;מלאי;כמות מלאי נמוכה;הזמנות מראש?;נמכר בנפרד?;משקל;אורך;רוחב;גובה;לאפשר ביקורות?;הערת רכישה;"
    "מחיר מבצע;מחיר רגיל;קטגוריות;תגיות;סוג משלוח;תמונות;מגבלת הורדות;ימי תפוגה;הורה;מוצרים מקובצים;שיפור מכירות;"
    "מכירה צולבת;כתובת חיצונית;טקסט כפתור;מיקום;שם תכונה 1",
    "Japanese": "ID;タイプ;SKU;GTIN、UPC、EAN、または ISBN;名前;公開済み;おすすめですか ?;カタログの表示;簡単な説明;"
    "説明;"
    "セール開始日;セール終了日;税金状態;税区分;在庫あり;在庫;低在庫数;取り寄せ可能;個別販売;重量 (kg);長さ (cm);"
    "幅 (cm);"
    "高さ (cm);レビューを許可;購入メモ;セール価格;通常価格;カテゴリー;タグ;配送クラス;画像;ダウンロード制限;"
    "ダウンロード有効日数;親;グループ化商品;アップセル;クロスセル;外部 URL;ボタン文字;位置;属性 1 の名前",
}  # fmt: skip
WOOCOMMERCE_PROFILES = {"English", "German", "French", "Spanish", "Italian", "Dutch", "Portuguese", "Russian"}
_SKU, _NAME, _IMAGES = 2, 4, 30


def _woocommerce(language: str) -> PlatformFile:
    names = columns(WOOCOMMERCE[language])
    assert len(names) == 41, language
    rows = [
        {0: "44", 1: "variable", _SKU: "woo-mug", _NAME: "Mug, “Tide”", 5: "1", 6: "0", 7: "visible", 9: HTML, 14: "1",
         27: "Kitchen, Kitchen > Mugs",
         _IMAGES: image(f"{UPLOADS}/mug-2.jpg", f"{UPLOADS}/mug 1.jpg", f"{UPLOADS}/w_1,h_2/mug.jpg")},
        {0: "45", 1: "variation", _SKU: "woo-mug-s", _NAME: "Mug, “Tide” - S", 26: "12,5", 33: "woo-mug",
         _IMAGES: image(f"{UPLOADS}/mug-s.jpg")},
        {0: "46", 1: "simple", _NAME: "'-Lamp", 10: "2024-11-01 00:00:00"},
    ]  # fmt: skip
    cells = [[row.get(place, "") for place in range(len(names))] for row in rows]
    template = BOM + export(WOOCOMMERCE[language], *cells, quoted="blanks")
    profile = "woocommerce" if language in WOOCOMMERCE_PROFILES else "general"
    return PlatformFile(f"woocommerce, {language}", profile, template, (names[_IMAGES],), names[_NAME], names[_SKU])


ETSY = {
    "English": ("TITLE;DESCRIPTION;PRICE;CURRENCY_CODE;QUANTITY;TAGS;MATERIALS", "IMAGE#", "VARIATION # TYPE"),
    "German": ("TITEL;BESCHREIBUNG;PREIS;WÄHRUNGSCODE;ANZAHL;TAGS;MATERIALIEN", "BILD#", "VARIATION # TYP"),
    "French": ("TITRE;DESCRIPTION;PRIX;CODE_DEVISE;QUANTITÉ;TAGS;MATÉRIAUX", "IMAGE#", "TYPE DE VARIATION #"),
    "Italian": ("TITOLO;DESCRIZIONE;PREZZO;CODICE_VALUTA;QUANTITÀ;TAG;MATERIALI", "IMMAGINE#", "TIPO DI VARIANTE #"),
    "Spanish": ("TÍTULO;DESCRIPCIÓN;PRECIO;CÓDIGO_MONEDA;CANTIDAD;ETIQUETAS;MATERIALES", "IMAGEN#", "TIPO #"),
    "Dutch": ("TITEL;BESCHRIJVING;PRIJS;VALUTACODE;AANTAL;TAGS;MATERIALEN", "AFBEELDING#", "VARIATIE # TYPE"),
    "Portuguese": ("TÍTULO;DESCRIÇÃO;PREÇO;CÓDIGO_MOEDA;QUANTIDADE;TAGS;MATERIAIS", "IMAGEM#", "TIPO #"),
    "Polish": ("TYTUŁ;OPIS;CENA;KOD_WALUTY;ILOŚĆ;TAGI;MATERIAŁY", "ZDJĘCIE#", "TYP ODMIANY #"),
    "Japanese": ("タイトル;説明;価格;通貨コード;数量;タグ;素材", "画像#", "バリエーション#"),
}


def _etsy(language: str) -> PlatformFile:
    start, picture, variation = ETSY[language]
    images = tuple(columns(numbered(picture, 10)))
    title = columns(start)[0]
    header = f"{start};{';'.join(images)};{numbered(variation, 2)};SKU"
    urls = [f"https://i.etsystatic.example/1/r/il/{n}/il_fullxfull.{n}.jpg" for n in range(1, 5)]
    text = 'Mug – "Tide"\n\nHolds 0.4 l, dishwasher proof'
    template = export(
        header,
        ["Mug, &quot;Tide&quot;", text, "12.50", "EUR", "4", "mug,blue_mug", "Stoneware", *map(image, urls[:3]),
         *[""] * 7, "Size", "", "MUG-S,MUG-M"],
        ["Lamp", "Tall", "40", "EUR", "1", "", "", image(urls[3]), *[""] * 12],
    )  # fmt: skip
    profile = "etsy" if language == "English" else "general"
    return PlatformFile(f"etsy, {language}", profile, template, images, title, "SKU")


LOCAL = (*map(_woocommerce, WOOCOMMERCE), *map(_etsy, ETSY))
