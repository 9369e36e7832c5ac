from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0008_facts'),
    ]

    operations = [
        migrations.AddField(
            model_name='resource',
            name='newest_times',
            field=models.JSONField(default=dict, editable=False),
        ),
    ]
