"""Columns of real exports: recognised by their headers, confirmed by their values."""

import pytest

from image_processor.catalogue import TableOptions, read_catalogue
from image_processor.catalogue.profiles import ID, IMAGES, NAME, PROFILES, spelling, spellings
from image_processor.catalogue.recognise import Recognised, find_table, recognise

URL = "https://cdn.shop.example/products/mug.jpg"


def table(*lines: str, delimiter: str = ",") -> Recognised:
    return find_table([line.split(delimiter) for line in lines])[1]


def roles(found: Recognised) -> dict[str, list[str]]:
    return {role: [column.name for column in found.of(role)] for role in ("images", "name", "id")}  # type: ignore[arg-type]


# The platforms' own headers (shortened), a row, and what is to be found: profile, images, name, id.
EXPORTS = {
    "Shopify": (
        ["Handle,Title,Body (HTML),Vendor,Image Src,Image Position,Image Alt Text,Variant SKU,Variant Image",
         f"mug,Mug,,Acme,{URL},1,Front,M1,", f"mug,,,,{URL},2,,,{URL}"],
        ("shopify", ["Image Src", "Variant Image"], ["Title"], ["Handle"]),
    ),
    "Shopify 2025": (
        ["Title,URL handle,Description,Product image URL,Image position,Variant image URL", f"Mug,mug,,{URL},1,"],
        ("shopify", ["Product image URL", "Variant image URL"], ["Title"], ["URL handle"]),
    ),
    "WooCommerce": (
        ["ID;Type;SKU;Name;Published;Short description;Images", f"7;simple;M1;Mug;1;;{URL}, {URL}"],
        ("woocommerce", ["Images"], ["Name"], ["SKU"]),
    ),
    "WooCommerce in German": (
        ["ID;Typ;Artikelnummer;Name;Veröffentlicht;Bilder", f"7;simple;M1;Becher;1;{URL}"],
        ("woocommerce", ["Bilder"], ["Name"], ["Artikelnummer"]),
    ),
    "WooCommerce in Russian": (
        ["ID;Тип;Артикул;Имя;Опубликован;Изображения", f"7;simple;M1;Кружка;1;{URL}"],
        ("woocommerce", ["Изображения"], ["Имя"], ["Артикул"]),
    ),
    "WooCommerce in Hebrew": (
        ["מזהה;סוג;שם;תמונות", f"7;simple;ספל;{URL}"], ("general", ["תמונות"], ["שם"], ["מזהה"]),
    ),
    "Wix classic": (
        ["handleId;fieldType;name;description;productImageUrl;collection", "p_1;Product;Mug;;a1b2_c3~mv2.jpg;All"],
        ("wix", ["productImageUrl"], ["name"], ["handleId"]),
    ),
    "Wix V3": (
        ["handle;fieldType;name;visible;mediaUrl", f"mug;PRODUCT;Mug;TRUE;{URL}", f"mug;MEDIA;;;{URL}"],
        ("wix", ["mediaUrl"], ["name"], ["handle"]),
    ),
    "Squarespace": (
        ["Product ID [Non Editable];Title;SKU;Hosted Image URLs", f"5f1;Mug;M1;{URL} {URL}"],
        ("squarespace", ["Hosted Image URLs"], ["Title"], ["Product ID [Non Editable]"]),
    ),
    "Etsy": (
        ["TITLE;DESCRIPTION;CURRENCY_CODE;IMAGE1;IMAGE2;IMAGE10;SKU", f"Mug;Blue;EUR;{URL};{URL};;M1"],
        ("etsy", ["IMAGE1", "IMAGE2", "IMAGE10"], ["TITLE"], ["SKU"]),
    ),
    "Magento": (
        ["sku;name;base_image;base_image_label;small_image;thumbnail_image;additional_images",
         "M1;Mug;/m/u/mug.jpg;;/m/u/mug.jpg;/m/u/mug.jpg;/m/u/a.jpg,/m/u/b.jpg"],
        ("magento", ["base_image", "small_image", "thumbnail_image", "additional_images"], ["name"], ["sku"]),
    ),
    "BigCommerce": (
        ["Item;ID;Name;Internal Image URL (Export);Image URL (Import);Image Description", f"Image;3;Mug;{URL};;"],
        ("bigcommerce", ["Internal Image URL (Export)"], ["Name"], ["ID"]),
    ),
    "BigCommerce before": (
        ["Product ID;Product Name;Product Image ID - 1;Product Image URL - 1;Product Image URL - 2",
         f"3;Mug;9;{URL};{URL}"],
        ("bigcommerce", ["Product Image URL - 1", "Product Image URL - 2"], ["Product Name"], ["Product ID"]),
    ),
    "PrestaShop": (
        ["Product ID;Active (0/1);Name *;Categories (x,y,z...);Image URLs (x,y,z...)", f"1;1;Mug;Home;{URL},{URL}"],
        ("prestashop", ["Image URLs (x,y,z...)"], ["Name *"], ["Product ID"]),
    ),
    "Google": (
        ["id;title;link;image_link;additional_image_link;availability",
         f"1;Mug;https://shop.example/mug;{URL};;in stock"],
        ("google", ["image_link", "additional_image_link"], ["title"], ["id"]),
    ),
    "Meta": (
        ["# Required | A unique id;# Required | A title;# Optional", "id;title;image[0].url", f"1;Mug;{URL}"],
        ("meta", ["image[0].url"], ["title"], ["id"]),
    ),
    "eBay": (
        ["#INFO;Version=0.0.2;;", "*Action;CustomLabel;*Title;PicURL", f"Add;M1;Mug;{URL}|{URL}"],
        ("ebay", ["PicURL"], ["*Title"], ["CustomLabel"]),
    ),
    "Amazon": (
        ["TemplateType=fptcustom;Version=2020;;;",
         "Seller SKU;Product Name;Main Image URL;Other Image URL1;Swatch Image URL",
         "item_sku;item_name;main_image_url;other_image_url1;swatch_image_url", f"M1;Mug;{URL};{URL};"],
        ("amazon", ["main_image_url", "other_image_url1", "swatch_image_url"], ["item_name"], ["item_sku"]),
    ),
    "Medusa": (
        ["Product Handle;Product Title;Product Thumbnail;Product Image 1 Url;Product Image 2 Url",
         f"mug;Mug;{URL};{URL};{URL}"],
        ("medusa", ["Product Thumbnail", "Product Image 1 Url", "Product Image 2 Url"], ["Product Title"],
         ["Product Handle"]),
    ),
    "Myntra": (
        ["vendorSkuCode;vendorArticleName;Front Image;Side Image;Back Image", f"M1;Mug;{URL};{URL};{URL}"],
        ("general", ["Front Image", "Side Image", "Back Image"], ["vendorArticleName"], ["vendorSkuCode"]),
    ),
    "Airtable": (
        ["Name;Photos", f"Mug;front.jpg ({URL}),back.jpg ({URL})"], ("general", ["Photos"], ["Name"], []),
    ),
    "a scraper": (
        ["product_id;name.de;name.en;url;images", f"1;Becher;Mug;https://shop.example/1;['{URL}']"],
        ("general", ["images"], ["name.en"], ["product_id"]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPORTS)
def test_the_export_of_a_platform_is_recognised(name: str) -> None:
    lines, (profile, images, names, ids) = EXPORTS[name]

    found = table(*lines, delimiter=";" if ";" in lines[0] else ",")

    assert found.profile.key == profile
    assert roles(found) == {"images": images, "name": names, "id": ids}


def test_every_profile_has_a_test() -> None:
    assert {profile.key for profile in PROFILES} <= {expected[0] for _, expected in EXPORTS.values()}


@pytest.mark.parametrize(
    "header",
    ["Produktbild", "Images du produit", "Imágenes", "Immagini", "Imagem principal", "Afbeeldingen", "Zdjęcia",
     "Картинки", "चित्र", "商品图片", "商品画像", "IMAGE_URL_3", "Image URLs [max 10]", "ＩＭＡＧＥ"],
)  # fmt: skip
def test_columns_of_images_are_known_in_many_languages(header: str) -> None:
    assert roles(table(f"Name,{header}", f"Mug,{URL}"))["images"] == [header]


@pytest.mark.parametrize(
    "header", ["Image Position", "Image Alt Text", "Imagination", "Photographer", "Email consent", "Image Width"]
)
def test_a_header_that_only_resembles_one_is_not_taken_for_it(header: str) -> None:
    assert roles(table(f"Name,{header}", "Mug,12"))["images"] == []


def test_values_confirm_a_column_of_images() -> None:
    assert roles(table("Name,Image,Photo", f"Mug,yes,{URL}", f"Cup,no,{URL}"))["images"] == ["Photo"]


def test_a_column_with_an_unknown_name_is_proposed_by_its_values() -> None:
    found = table("Name,Page,Visual 1", f"Mug,https://shop.example/mug,{URL}")

    assert roles(found)["images"] == []
    assert found.suggested_images_column == "Visual 1"


def test_a_column_called_link_counts_when_it_is_the_only_one() -> None:
    assert roles(table("Name,Link", f"Mug,{URL}"))["images"] == ["Link"]
    assert roles(table("Name,Link,Source", f"Mug,{URL},{URL}"))["images"] == []


def test_an_empty_column_is_no_id() -> None:
    assert roles(table("Custom Label,SKU,Title,Image", f",M1,Mug,{URL}"))["id"] == ["SKU"]


def test_lines_above_the_header_are_passed_over() -> None:
    place, found = find_table([["Spring catalogue"], [""], ["SKU", "Name", "Image"], ["M1", "Mug", URL]])

    assert place == 2
    assert roles(found) == {"images": ["Image"], "name": ["Name"], "id": ["SKU"]}


def test_the_last_line_is_no_header_whatever_its_words() -> None:
    rows = [["Type", "Name", "Images"], ["Mug", "{{Name}}", "{{Images}}"], ["Cup", "{{Name}}", "{{Images}}"]]

    assert find_table(rows)[0] == 0
    assert find_table([["# template"], ["Name", "Images"]])[0] == 1


def test_a_number_of_every_row_is_a_better_id_than_the_model_s() -> None:
    assert roles(table("Uniq Id,Product Name,Model Number,Image", f"1,Mug,,{URL}", f"2,Cup,C7,{URL}"))["id"] == [
        "Uniq Id"
    ]


@pytest.mark.parametrize("header", ["Producto", "Full name", "Produit", "Produkt", "Товар"])
def test_a_column_of_products_is_their_name(header: str) -> None:
    assert roles(table(f"SKU,{header},Image", f"M1,Mug,{URL}"))["name"] == [header]


def test_a_spelling_has_one_role() -> None:
    shared = [set(spellings(one)) & set(spellings(other)) for one, other in ((IMAGES, NAME), (IMAGES, ID), (NAME, ID))]

    assert shared == [set(), set(), set()]
    assert "" not in {*spellings(IMAGES), *spellings(NAME), *spellings(ID)}


def test_examples_are_the_first_filled_cells() -> None:
    assert [column.example for column in recognise(["A", "B"], [["", "1"], ["x", "2"]]).columns] == ["x", "1"]


def test_brackets_alone_are_a_name() -> None:
    assert spelling("(image)") == "image"


def test_the_number_of_a_column_does_not_make_a_row_the_header() -> None:
    text = f"SKU;Kind;Stock;Stock\nM1;Mug;{URL};3\nM2;Cup;{URL};4\n"

    found = read_catalogue(text.encode(), options=TableOptions(images_column=("3",), name_column="4"))
    assert (found.understood.header_line, found.row_count) == (1, 2)
