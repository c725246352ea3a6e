"""The forms of the pages. Every form has a CSRF token."""

from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import (
    BooleanField,
    Field,
    IntegerField,
    PasswordField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
    URLField,
)
from wtforms.fields.choices import SelectChoice
from wtforms.validators import DataRequired, NumberRange, Optional, ValidationError

from image_processor.errors import InvalidOption, shorten

PASTED_NAME = "urls.txt"


class UploadForm(FlaskForm):  # type: ignore[misc]
    """The upload form: a file or pasted URLs, and options. `use` has a value per column with a role: `images:Photo`."""

    file = FileField("Catalogue")
    urls = TextAreaField("Image URLs, one per line")
    use = SelectMultipleField("Columns", validate_choice=False)
    quality = IntegerField("Quality", validators=[Optional(), NumberRange(1, 95)])
    max_dimension = IntegerField("Longest side, in pixels", validators=[Optional(), NumberRange(0, 65_500)])
    format = SelectField(
        "Format",
        default="keep",
        choices=[
            SelectChoice("keep", "Keep the format of each image"),
            SelectChoice("jpeg", "JPEG"),
            SelectChoice("webp", "WebP"),
            SelectChoice("avif", "AVIF"),
            SelectChoice("png", "PNG"),
        ],
    )
    output = SelectField(
        "New URLs",
        default="",
        choices=[
            SelectChoice("", "Automatic"),
            SelectChoice("replace", "Replace the old URLs"),
            SelectChoice("add", "Add a column"),
        ],
    )
    failed = SelectField(
        "When an image fails",
        default="",
        choices=[
            SelectChoice("", "Automatic"),
            SelectChoice("keep", "Keep its old URL"),
            SelectChoice("empty", "Leave its place empty"),
        ],
    )
    image_base_url = URLField("Base URL of relative paths")
    sheet = StringField("Sheet of the workbook")
    webhook_url = URLField("Webhook URL", validators=[Optional()])
    skip = BooleanField("Skip rows with errors and process the others")

    def validate_file(self, field: Field) -> None:
        """A file or pasted URLs, not both: it would not be clear which of them is meant."""
        pasted = (self.urls.data or "").strip()
        if field.data and pasted:
            raise ValidationError("Choose a file or paste URLs, not both.")
        if not field.data and not pasted:
            raise ValidationError("Choose the file of your catalogue, or paste image URLs.")

    def validate_urls(self, field: Field) -> None:
        """Every line is a URL: else the list would be taken for a table, with its first line as the header."""
        for number, line in enumerate((field.data or "").splitlines(), start=1):
            if line.strip() and not line.strip().startswith(("http://", "https://")):
                said = f"Line {number}, “{shorten(line.strip())}”, is not a URL. Each line must start with https:// or http://."
                raise ValidationError(said)

    def upload(self) -> tuple[bytes, str]:
        """The bytes and the name of the file, or of the pasted URLs as a file."""
        if not self.file.data:
            return (self.urls.data or "").strip().encode(), PASTED_NAME
        self.file.data.seek(0)
        return self.file.data.read(), self.file.data.filename

    def options(self) -> dict[str, object]:
        """The chosen options, by their names in the API. Raises InvalidOption for two columns of names or of ids."""
        chosen = self.options_of_file() | self._columns()
        for field in (self.quality, self.max_dimension, self.format, self.webhook_url):
            if field.data not in (None, ""):
                chosen[field.name] = field.data
        return chosen | {"on_invalid": "skip" if self.skip.data else "reject"}

    def options_of_file(self) -> dict[str, object]:
        """The options that say how the file is read and written, without its columns."""
        fields = (self.output, self.failed, self.image_base_url, self.sheet)
        return {field.name: field.data.strip() for field in fields if (field.data or "").strip()}

    def _columns(self) -> dict[str, object]:
        chosen: dict[str, list[str]] = {"images": [], "name": [], "id": []}
        for role, _, column in (value.partition(":") for value in self.use.data or ()):
            if role in chosen and column:
                chosen[role].append(column)
        for role in ("name", "id"):
            if len(chosen[role]) > 1:
                named = ", ".join(f"“{shorten(column)}”" for column in chosen[role])
                raise InvalidOption(f"More than one column is used as the {role}: {named}. Choose one.")
        given: dict[str, object] = {f"{role}_column": chosen[role][0] for role in ("name", "id") if chosen[role]}
        return given | ({"images_column": chosen["images"]} if chosen["images"] else {})


class SignInForm(FlaskForm):  # type: ignore[misc]
    """The API key, for a browser."""

    key = PasswordField("API key", validators=[DataRequired("Enter the API key of this server.")])


class ActionForm(FlaskForm):  # type: ignore[misc]
    """A button: only a CSRF token."""
