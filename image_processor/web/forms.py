"""The forms of the pages. Every form has a CSRF token."""

from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from wtforms import BooleanField, IntegerField, PasswordField, SelectField, URLField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import DataRequired, NumberRange, Optional


class UploadForm(FlaskForm):  # type: ignore[misc]
    """The upload form."""

    file = FileField("Catalogue (CSV)", validators=[FileRequired("Choose the CSV file of your catalogue.")])
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
    webhook_url = URLField("Webhook URL", validators=[Optional()])
    skip = BooleanField("Skip rows with errors and process the others")

    def options(self) -> dict[str, object]:
        """The chosen options, by their names in the API."""
        fields = (self.quality, self.max_dimension, self.format, self.webhook_url)
        chosen: dict[str, object] = {field.name: field.data for field in fields if field.data not in (None, "")}
        return chosen | {"on_invalid": "skip" if self.skip.data else "reject"}


class SignInForm(FlaskForm):  # type: ignore[misc]
    """The API key, for a browser."""

    key = PasswordField("API key", validators=[DataRequired("Enter the API key of this server.")])


class ActionForm(FlaskForm):  # type: ignore[misc]
    """A button: only a CSRF token."""
