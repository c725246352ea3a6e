"""What shops and marketplaces call the columns of their exports. Data only: a new platform is one more row.

A header cell is compared by its `spelling`: letters alone, in lower case, without accents and without what is in
brackets. So `Product Image 2 Url` is a member of the family `productimageurl`, and `*Title` is `title`.
Comparison is exact: with fuzzy matching other importers took “Email consent” for “Email”.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_LONGEST_HEADER = 200


@lru_cache(4_096)  # a header is compared once for each candidate line
def spelling(header: str) -> str:
    """The form in which a header cell is compared."""
    text = unicodedata.normalize("NFKD", header[:_LONGEST_HEADER]).casefold()
    return _letters(_BRACKETS.sub("", text)) or _letters(text)


def _letters(text: str) -> str:
    # With the vowel signs of Hindi, which are marks; without the accents of Latin, Greek and Cyrillic letters.
    return "".join(char for char in text if unicodedata.category(char)[0] in "LM" and not "\u0300" <= char <= "\u036f")


@dataclass(frozen=True)
class Profile:
    """The export of one platform.

    It is recognised when all `anchors` are in the header. `images`, `name` and `id` are the columns of these roles, the
    best first. `image_base_url` completes bare file names. `most_images` is how many the platform takes in one cell,
    `import_column` the one that it reads new links from when that is another one. `takes_avif`: whether it does.
    """

    key: str
    anchors: tuple[str, ...]
    images: tuple[str, ...] = ()
    name: tuple[str, ...] = ()
    id: tuple[str, ...] = ()
    image_base_url: str | None = None
    import_column: str | None = None
    most_images: int | None = None
    takes_avif: bool = True


# The headers are those of the platforms' exports and import templates of 2024 and 2025. The first that fits counts.
PROFILES = (
    Profile("shopify", ("Handle", "Image Src"), ("Image Src", "Variant Image"), ("Title",), ("Handle",)),
    Profile(
        "shopify", ("URL handle", "Product image URL"), ("Product image URL", "Variant image URL"), ("Title",),
        ("URL handle",),
    ),
    Profile(
        "wix", ("handleId", "productImageUrl"), ("productImageUrl",), ("name",), ("handleId",),
        image_base_url="https://static.wixstatic.com/media/",
    ),
    Profile(
        "wix", ("handle", "mediaUrl", "fieldType"), ("mediaUrl",), ("name",), ("handle",),
        image_base_url="https://static.wixstatic.com/media/",
    ),
    Profile(
        "wix", ("handle", "media", "fieldType"), ("media",), ("name",), ("handle",),
        image_base_url="https://static.wixstatic.com/media/",
    ),
    Profile("squarespace", ("Hosted Image URLs",), ("Hosted Image URLs",), ("Title",), ("Product ID", "SKU")),
    Profile(
        "magento", ("sku", "base_image"),
        ("base_image", "small_image", "thumbnail_image", "swatch_image", "additional_images"), ("name",), ("sku",),
    ),
    Profile(
        "bigcommerce", ("Internal Image URL (Export)", "Image URL (Import)"), ("Internal Image URL (Export)",),
        ("Name",), ("ID",), import_column="Image URL (Import)",
    ),
    Profile(
        "bigcommerce", ("Product Name", "Product Image URL - 1"), ("Product Image URL - 1",), ("Product Name",),
        ("Product ID", "Product Code/SKU"),
    ),
    Profile(
        "bigcommerce", ("Product Name", "Product Image File - 1"), ("Product Image File - 1",), ("Product Name",),
        ("Product ID", "Product Code/SKU"),
    ),
    Profile(
        "prestashop", ("Active (0/1)", "Name *", "Image URLs (x,y,z...)"), ("Image URLs (x,y,z...)",), ("Name *",),
        ("Product ID", "ID"),
    ),
    Profile(
        "amazon", ("item_sku", "main_image_url"), ("main_image_url", "other_image_url1", "swatch_image_url"),
        ("item_name",), ("item_sku",),
    ),
    Profile(
        "amazon", ("Seller SKU", "Main Image URL"), ("Main Image URL", "Other Image URL1", "Swatch Image URL"),
        ("Product Name", "Item Name"), ("Seller SKU",),
    ),
    Profile(
        "google", ("id", "title", "image_link", "availability"), ("image_link", "additional_image_link"), ("title",),
        ("id",), most_images=10, takes_avif=False,
    ),
    Profile("meta", ("id", "title", "image[0].url"), ("image[0].url", "image_link"), ("title",), ("id",)),
    Profile(
        "google", ("id", "title", "image link"), ("image link", "additional image link"), ("title",), ("id",),
        most_images=10, takes_avif=False,
    ),
    Profile("ebay", ("PicURL",), ("PicURL",), ("Title",), ("CustomLabel", "Custom label (SKU)"), most_images=24),
    Profile(
        "ebay", ("Item photo URL",), ("Item photo URL",), ("Title",), ("Custom label (SKU)", "Item number"),
        most_images=24,
    ),
    Profile(
        "medusa", ("Product Handle", "Product Title", "Product Image 1 Url"),
        ("Product Image 1 Url", "Product Thumbnail"), ("Product Title",), ("Product Handle",),
    ),
    Profile("etsy", ("TITLE", "DESCRIPTION", "CURRENCY_CODE", "IMAGE1"), ("IMAGE1",), ("TITLE",), ("SKU",)),
    Profile("woocommerce", ("Type", "Published", "Images"), ("Images",), ("Name",), ("SKU", "ID")),
    Profile("woocommerce", ("Typ", "Veröffentlicht", "Bilder"), ("Bilder",), ("Name",), ("Artikelnummer", "ID")),
    Profile("woocommerce", ("Type", "Publié", "Images"), ("Images",), ("Nom",), ("UGS", "ID")),
    Profile("woocommerce", ("Tipo", "Publicado", "Imágenes"), ("Imágenes",), ("Nombre",), ("SKU", "ID")),
    Profile("woocommerce", ("Tipo", "Pubblicato", "Immagini"), ("Immagini",), ("Nome",), ("COD", "SKU", "ID")),
    Profile("woocommerce", ("Type", "Gepubliceerd", "Afbeeldingen"), ("Afbeeldingen",), ("Naam",), ("SKU", "ID")),
    Profile("woocommerce", ("Tipo", "Publicado", "Imagens"), ("Imagens",), ("Nome",), ("SKU", "REF", "ID")),
    Profile("woocommerce", ("Тип", "Опубликован", "Изображения"), ("Изображения",), ("Имя",), ("Артикул", "ID")),
)  # fmt: skip

ASSIGNMENT = Profile("assignment", ())  # recognised by `layout`, which knows the spellings of its columns
LIST = Profile("list", ())  # URLs alone, one in each line

# Any other table: how columns are called in English, put together (`main image url`, `imgSrc`), and in other ways.
_WHICH = """
product item main primary base default featured cover hero front back side top additional extra other secondary
alternate variant variation gallery small medium large big full original thumbnail thumb swatch model preview source
"""
_WHAT = "image images img imgs photo photos picture pictures pic pics"
_WHERE = """
url urls link links src srcs href hrefs uri path paths file files filename filenames name list address en enus engb
"""
IMAGES_IN_ENGLISH = frozenset(
    map("".join, itertools.product(["", *_WHICH.split()], _WHAT.split(), ["", *_WHERE.split()]))
)
# For every role the best first; languages: English, German, French, Spanish, Italian, Portuguese, Dutch, Polish,
# Russian, Ukrainian, Hindi, Chinese, Japanese, Hebrew, and the commonest words of some more.
IMAGES = """
input image urls; image source; image main; image front; image side; image back; images main; thumbnail; thumbnail url;
thumbnails; detail image; left image; right image; bottom image; front side image; look shot image; detail angle;
gallery; gallery urls; gallery src; image gallery; all images; media; media url; media urls; media files; assets;
variant assets; packshot; packshots; hosted image urls; attachment; attachments; attachment url; file url; file urls;
src;
bild; bilder; bild url; bilder url; bild urls; bildurl; bildlink; bildlinks; produktbild; produktbilder;
produktbild url; artikelbild; artikelbilder; hauptbild; zusatzbild; zusatzbilder; weitere bilder; galerie; abbildung;
abbildungen; fotos; foto; bilddatei; bilddateien; bildpfad; vorschaubild;
image principale; images supplémentaires; image produit; images produit; images du produit; url image; url images;
url de l'image; url des images; urls images; lien image; liens images; lien de l'image; visuel; visuels; photo
produit; photo principale; photos supplémentaires; visuel principal; image à la une;
imagen; imágenes; imagen principal; imágenes adicionales; imagen del producto; imágenes del producto; url imagen;
url de imagen; url de la imagen; url imágenes; enlace de imagen; enlace imagen; galería; foto url; url foto;
immagine; immagini; immagine principale; immagini aggiuntive; immagine prodotto; immagini prodotto; url immagine;
url immagini; url dell'immagine; link immagine; link immagini; galleria;
imagem; imagens; imagem principal; imagens adicionais; imagem do produto; imagens do produto; url imagem;
url da imagem; url das imagens; url imagens; link da imagem; galeria; url imagens externas; imagens externas;
afbeelding; afbeeldingen; afbeelding url; afbeeldingen url; productafbeelding; productafbeeldingen; hoofdafbeelding;
extra afbeeldingen; afbeeldingslink; foto's; plaatje;
zdjęcie; zdjęcia; zdjęcia url; zdjęcie url; url zdjęcia; zdjęcie główne; dodatkowe zdjęcia; zdjęcia dodatkowe; obraz;
obrazek; obrazki;
obrazy; link do zdjęcia; linki do zdjęć; galeria zdjęć;
изображение; изображения; картинка; картинки; фото; фотография; фотографии; ссылка на изображение;
ссылки на изображения; ссылка на фото; url изображения; url изображений; url картинки; основное изображение;
дополнительные изображения; главное фото; галерея; зображення;
ссылка изображения; ссылка на картинку; ссылка на фото товара; фото товара; посилання на зображення; фотографії;
चित्र; चित्र यूआरएल; छवि; छवियां; इमेज; इमेज यूआरएल; फोटो; तस्वीर;
图片; 图片链接; 图片地址; 图片网址; 商品图片; 产品图片; 主图; 主图链接; 附图; 图像; 图片url; 商品主图; 圖片;
圖片連結; 照片;
画像; 画像url; 商品画像; 商品画像url; メイン画像; サブ画像; 画像リンク; 写真; 画像パス; 商品画像パス; 商品画像リンク;
resim; resimler; resim url; görsel; görseller; görsel url; ürün resmi; ürün görseli;
billede; billeder; bilde; produktbilde; obrázek; obrázky; fotka; fotky; kép; képek; imagine; imagini;
εικόνα; εικόνες; صورة; الصورة; الصور; صور المنتج; 이미지; 상품이미지; 대표이미지; 추가이미지; 이미지 url;
hình ảnh; ảnh; ảnh sản phẩm; gambar; foto produk; รูปภาพ;
תמונות; תמונה
"""
NAME = """
product name; name; title; product title; item name; item title; article name; display name; product full name;
full name; product; item; label;
vendor article name; name en; name en us; name en gb; title en; product name en;
produktname; artikelbezeichnung; bezeichnung; artikelname; titel; produkttitel; produktbezeichnung; name de;
kurzbezeichnung; produkt; artikel;
nom; nom du produit; nom produit; titre; désignation; libellé; nom de l'article; intitulé;
produit; article;
nombre; nombre del producto; nombre producto; título; título del producto; denominación; nombre del artículo;
producto;
nome; nome prodotto; nome del prodotto; titolo; denominazione; titolo prodotto; prodotto;
nome do produto; nome produto; título do produto; designação; produto;
naam; productnaam; artikelnaam; producttitel; omschrijving;
nazwa; nazwa produktu; tytuł; nazwa towaru;
название; наименование; имя; название товара; наименование товара; заголовок; назва; название позиции; назва позиції;
товар;
नाम; उत्पाद का नाम; शीर्षक; उत्पाद नाम;
名称; 商品名称; 产品名称; 品名; 标题; 商品标题; 产品标题; 商品名稱; 名稱; 標題;
商品名; 製品名; 名前; タイトル; 商品タイトル; 名称;
ürün adı; ürün ismi; název; név; terméknév; denumire; nume produs; όνομα; اسم المنتج; الاسم; 상품명; 제품명;
tên sản phẩm; tên; nama produk; nama; ชื่อสินค้า; navn; produktnavn; namn; produktnamn;
שם
"""
ID = """
s no; sl no; sr no; serial number; serial no; sku; product sku;
 item sku; seller sku; vendor sku code; variant sku; handle; url handle;
handle id; product handle; product id; item id; id; unique id; uniq id; product code; item code; item number;
item no; article number; article no; part number; product number; product no; style code; style id;
model number; model; code; reference; ref;
custom label; merchant sku; external id; uid; uuid; guid; pid; art no; article id; order number;
asin; mpn; gtin; ean; upc; barcode; isbn; slug; no; number;
artikelnummer; artikelnr; artikel nr; art nr; produktnummer; produkt id; bestellnummer; artikel id; nummer; nr;
référence; référence produit; ugs; code produit; code article; id produit; numéro d'article;
referencia; código; código de producto; código del producto; id producto; número de artículo; clave;
codice; codice prodotto; codice articolo; riferimento; id prodotto; cod;
código do produto; referência; id do produto; artigo;
productnummer; artikelcode; productcode; referentie; bestelnummer;
kod; kod produktu; indeks; symbol; numer; numer katalogowy; id produktu;
артикул; код; код товара; номер; идентификатор; ид;
एसकेयू; आईडी; क्रमांक; उत्पाद कोड;
编号; 货号; 商品编号; 产品编号; 商品编码; 编码; 款号; 序号; 商品id; 產品編號; 貨號;
商品コード; 商品管理番号; 品番; 商品番号; 型番; 管理番号; 製品コード; コード;
stok kodu; ürün kodu; kód; kód produktu; cikkszám; cod produs; κωδικός; رمز المنتج; 상품코드; 상품번호;
mã sản phẩm; mã sp; kode produk; kode; รหัสสินค้า; varenummer; artikkelnummer;
מק"ט; מזהה
"""
# Too general to count, unless it is the only column with URLs of images.
LINKS = "url; urls; link; links; src; href; address; source; file; filename; path; 链接; 網址; リンク; ссылка"


def spellings(names: str | Iterable[str]) -> dict[str, int]:
    """Spelling -> rank of each name (0 is the best). `names` may be one text with semicolons."""
    ranks: dict[str, int] = {}
    for name in names.split(";") if isinstance(names, str) else names:
        ranks.setdefault(spelling(name), len(ranks))
    return ranks
